// Command image writes a container image of one layer for containerd to import.
//
//	image REFERENCE LAYER.tar CONFIG.json OUT.tar
//
// CONFIG.json is the `config` of an OCI image: Entrypoint, Env, User, WorkingDir, ExposedPorts ...
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"runtime"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

func main() {
	if len(os.Args) != 5 {
		fmt.Fprintln(os.Stderr, "usage: image REFERENCE LAYER.tar CONFIG.json OUT.tar")
		os.Exit(2)
	}
	if err := write(os.Args[1], os.Args[2], os.Args[3], os.Args[4]); err != nil {
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1)
	}
}

func write(reference, layerFile, configFile, out string) error {
	tag, err := name.NewTag(reference)
	if err != nil {
		return err
	}
	said, err := os.ReadFile(configFile)
	if err != nil {
		return err
	}
	layer, err := tarball.LayerFromFile(layerFile)
	if err != nil {
		return err
	}
	image, err := mutate.AppendLayers(empty.Image, layer)
	if err != nil {
		return err
	}
	config, err := image.ConfigFile()
	if err != nil {
		return err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = "linux", runtime.GOARCH
	config.Config = v1.Config{}
	if err := json.Unmarshal(said, &config.Config); err != nil {
		return err
	}
	if image, err = mutate.ConfigFile(image, config); err != nil {
		return err
	}
	return tarball.WriteToFile(out, tag, image)
}

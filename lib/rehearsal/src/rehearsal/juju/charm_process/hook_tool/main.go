// Every hook tool of Juju's: asks whoever runs the hook, and says what it answers.
//
// It is called as the tool is (config-get, relation-set, ...). The question is a line of JSON on the socket of
// JUJU_AGENT_SOCKET_ADDRESS, the answer another.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
)

type question struct {
	Tool   string   `json:"tool"`
	Words  []string `json:"words"`
	Folder string   `json:"folder"`
	Input  string   `json:"input"`
}

type answer struct {
	Code   int    `json:"code"`
	Output string `json:"output"`
	Errors string `json:"errors"`
}

func main() {
	code, err := ask(filepath.Base(os.Args[0]), os.Args[1:])
	if err != nil {
		fmt.Fprintf(os.Stderr, "ERROR %v\n", err)
		code = 1
	}
	os.Exit(code)
}

func ask(tool string, words []string) (int, error) {
	asked := question{Tool: tool, Words: words}
	asked.Folder, _ = os.Getwd()
	if readsInput(words) {
		input, err := io.ReadAll(os.Stdin)
		if err != nil {
			return 1, err
		}
		asked.Input = string(input)
	}
	connection, err := net.Dial("unix", os.Getenv("JUJU_AGENT_SOCKET_ADDRESS"))
	if err != nil {
		return 1, err
	}
	defer connection.Close()
	if err := json.NewEncoder(connection).Encode(asked); err != nil {
		return 1, err
	}
	var found answer
	if err := json.NewDecoder(connection).Decode(&found); err != nil {
		return 1, err
	}
	os.Stdout.WriteString(found.Output)
	os.Stderr.WriteString(found.Errors)
	return found.Code, nil
}

// readsInput tells whether a tool is told by `--file -` to read its standard input.
func readsInput(words []string) bool {
	for at, word := range words {
		if word == "--file=-" || word == "--file" && at+1 < len(words) && words[at+1] == "-" {
			return true
		}
	}
	return false
}

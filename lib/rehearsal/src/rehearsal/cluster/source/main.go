// Command cluster is a whole Kubernetes control plane in one binary: its first argument names the part
// to run, the others are that part's own.
//
// One binary, because the parts share nearly all of their packages: together they compile in about the
// time that the API server alone takes.
package main

import (
	"context"
	"fmt"
	"os"
	"sort"
	"strings"
	_ "time/tzdata" // CronJob time zones, where the machine has no zone database

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"go.etcd.io/etcd/server/v3/etcdmain"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	kubectl "k8s.io/kubectl/pkg/cmd"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	proxy "k8s.io/kubernetes/cmd/kube-proxy/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"
	kwokconfig "sigs.k8s.io/kwok/pkg/config"
	kwok "sigs.k8s.io/kwok/pkg/kwok/cmd"
	kwoklog "sigs.k8s.io/kwok/pkg/log"
	"sigs.k8s.io/kwok/pkg/utils/cel"
	"sigs.k8s.io/kwok/pkg/utils/signals"
)

func main() {
	parts := map[string]func(){
		"etcd":                    func() { etcdmain.Main(os.Args) },
		"kube-apiserver":          func() { run(apiserver.NewAPIServerCommand()) },
		"kube-controller-manager": func() { run(controllermanager.NewControllerManagerCommand()) },
		"kube-scheduler":          func() { run(scheduler.NewSchedulerCommand()) },
		"kube-proxy":              func() { run(proxy.NewProxyCommand()) },
		"kubelet":                 func() { run(kubelet.NewKubeletCommand(context.Background())) },
		"kubectl":                 func() { run(kubectl.NewDefaultKubectlCommand()) },
		"kwok":                    runKwok,
	}
	if len(os.Args) > 1 {
		if part, known := parts[os.Args[1]]; known {
			os.Args = os.Args[1:]
			part()
			return
		}
	}
	names := make([]string, 0, len(parts))
	for name := range parts {
		names = append(names, name)
	}
	sort.Strings(names)
	fmt.Fprintf(os.Stderr, "usage: cluster %s ...\n", strings.Join(names, "|"))
	os.Exit(2)
}

func run(command *cobra.Command) {
	os.Exit(cli.Run(command))
}

// runKwok reads KWOK's own configuration flags before its command exists, as the command needs them to.
//
// cobra gives every root command the flags of pflag.CommandLine, where Kubernetes has put a --version that
// is not KWOK's.
func runKwok() {
	pflag.CommandLine = pflag.NewFlagSet("kwok", pflag.ExitOnError)
	flags := pflag.NewFlagSet("global", pflag.ContinueOnError)
	flags.ParseErrorsAllowlist.UnknownFlags = true
	flags.Usage = func() {}
	ctx, _ := kwoklog.InitFlags(signals.SetupSignalContext(), flags)
	ctx, err := kwokconfig.InitFlags(ctx, flags)
	if err == nil {
		err = primeExpressions()
	}
	if err == nil {
		command := kwok.NewCommand(ctx)
		command.PersistentFlags().AddFlagSet(flags)
		err = command.ExecuteContext(ctx)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "kwok:", err)
		os.Exit(1)
	}
}

// primeExpressions makes each kind of expression environment that KWOK uses once, before it has threads.
//
// easycel v0.6.0 remembers types in maps without a lock. KWOK's controllers, one for each kind of object,
// fill them at the same moment after the start, and about one start in ten died of "concurrent map writes".
// Full maps are only read.
func primeExpressions() error {
	for _, self := range []any{(*corev1.Node)(nil), (*corev1.Pod)(nil), map[string]any{}} {
		_, err := cel.NewEnvironment(cel.EnvironmentConfig{
			Types:       cel.DefaultTypes,
			Conversions: cel.DefaultConversions,
			Funcs:       cel.DefaultFuncs,
			Methods:     cel.FuncsToMethods(cel.DefaultFuncs),
			Vars:        map[string]any{"self": self},
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// Command kubectl is kubectl and, under the name kubectl-argo-rollouts, Argo Rollouts' plugin: the code of both, from the
// modules that go.sum pins. The plugin's dashboard is left out, because its module does not carry the files that it embeds.
package main

import (
	"flag"
	"os"
	"path/filepath"

	"github.com/argoproj/argo-rollouts/pkg/kubectl-argo-rollouts/cmd/abort"
	"github.com/argoproj/argo-rollouts/pkg/kubectl-argo-rollouts/cmd/get"
	"github.com/argoproj/argo-rollouts/pkg/kubectl-argo-rollouts/cmd/list"
	"github.com/argoproj/argo-rollouts/pkg/kubectl-argo-rollouts/cmd/pause"
	"github.com/argoproj/argo-rollouts/pkg/kubectl-argo-rollouts/cmd/promote"
	"github.com/argoproj/argo-rollouts/pkg/kubectl-argo-rollouts/cmd/restart"
	"github.com/argoproj/argo-rollouts/pkg/kubectl-argo-rollouts/cmd/retry"
	"github.com/argoproj/argo-rollouts/pkg/kubectl-argo-rollouts/cmd/set"
	"github.com/argoproj/argo-rollouts/pkg/kubectl-argo-rollouts/cmd/status"
	"github.com/argoproj/argo-rollouts/pkg/kubectl-argo-rollouts/cmd/terminate"
	"github.com/argoproj/argo-rollouts/pkg/kubectl-argo-rollouts/cmd/undo"
	"github.com/argoproj/argo-rollouts/pkg/kubectl-argo-rollouts/options"
	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/component-base/cli"
	"k8s.io/klog/v2"
	"k8s.io/kubectl/pkg/cmd"
	"k8s.io/kubectl/pkg/cmd/util"
)

func main() {
	if filepath.Base(os.Args[0]) == "kubectl-argo-rollouts" {
		argoRollouts()
		return
	}
	if err := cli.RunNoErrOutput(cmd.NewDefaultKubectlCommand()); err != nil {
		util.CheckErr(err)
	}
}

// argoRollouts does what cmd.NewCmdArgoRollouts does.
func argoRollouts() {
	klog.InitFlags(nil)
	_ = flag.Set("stderrthreshold", "INFO")
	streams := genericclioptions.IOStreams{In: os.Stdin, Out: os.Stdout, ErrOut: os.Stderr}
	o := options.NewArgoRolloutsOptions(streams)
	root := &cobra.Command{
		Use:               "kubectl-argo-rollouts COMMAND",
		SilenceUsage:      true,
		PersistentPreRunE: o.PersistentPreRunE,
	}
	o.AddKubectlFlags(root)
	root.AddCommand(
		abort.NewCmdAbort(o), get.NewCmdGet(o), list.NewCmdList(o), pause.NewCmdPause(o), promote.NewCmdPromote(o),
		restart.NewCmdRestart(o), retry.NewCmdRetry(o), set.NewCmdSet(o), status.NewCmdStatus(o),
		terminate.NewCmdTerminate(o), undo.NewCmdUndo(o),
	)
	if err := root.Execute(); err != nil {
		os.Exit(1)
	}
}

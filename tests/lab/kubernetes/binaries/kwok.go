package main

import (
	"os"

	"github.com/spf13/pflag"
	"sigs.k8s.io/kwok/pkg/config"
	kwok "sigs.k8s.io/kwok/pkg/kwok/cmd"
	"sigs.k8s.io/kwok/pkg/log"
	"sigs.k8s.io/kwok/pkg/utils/signals"
)

// What kwok's own main function does. The other components have put flags of theirs, `--version` for one, into the set that all share;
// kwok defines the same again and would panic, so it gets an empty set.
func kwokMain() {
	pflag.CommandLine = pflag.NewFlagSet(os.Args[0], pflag.ContinueOnError)
	early := pflag.NewFlagSet("early", pflag.ContinueOnError) // logging and --config are read before the command exists
	early.ParseErrorsAllowlist.UnknownFlags = true
	early.Usage = func() {}
	ctx, logger := log.InitFlags(signals.SetupSignalContext(), early)
	fail := func(doing string, err error) {
		if err != nil {
			logger.Error(doing, "err", err)
			os.Exit(1)
		}
	}
	ctx, err := config.InitFlags(ctx, early)
	fail("reading the configuration", err)
	command := kwok.NewCommand(ctx)
	command.PersistentFlags().AddFlagSet(early)
	fail("running", command.ExecuteContext(ctx))
}

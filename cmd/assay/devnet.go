package main

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/spf13/cobra"

	"github.com/assaynet/assay/cmd/devnet"
)

func devnetCommand() *cobra.Command {
	var (
		cfg                 devnet.Config
		checkers, providers string
		verbose             bool
	)
	cmd := &cobra.Command{
		Use:   "devnet",
		Short: "Run a whole network on this machine, with cheaters in it",
		Long: "Starts checkers and providers in one process, each with its own libp2p host,\n" +
			"key and database, and lets the checkers find the planted cheaters. Devices are\n" +
			"simulated: exact work of the CPU, delivered at a modelled time.\n\n" +
			"Provider kinds:\n" +
			"  honest       does what it says\n" +
			"  attested     honest, with a card that can be read and that signs its results\n" +
			"  slow         claims a device four times faster than it has\n" +
			"  liar         skips a tenth of the entries and invents them\n" +
			"  flaky        unreachable a third of the time\n" +
			"  busy         refuses GPU work, signed, and answers probes\n" +
			"  coward       cheats like the liar, but falls silent whenever a sample hits a lie\n" +
			"  smallmem     claims twice the memory that it has, and makes the rest again\n" +
			"  counterfeit  calls its card an H100; telemetry and rates are another's\n" +
			"  sharer       two of them share one device: an even number\n" +
			"  oversold     claims four devices and has three\n\n" +
			"The last two are found by running devices at one time; a sharer takes about\n" +
			"two minutes.\n\n" +
			"The cards of attested are signed by a vendor that only this network trusts. Its\n" +
			"roots and manifests are in the folder evidence; assay verify --evidence takes it.\n\n" +
			"Exit code 0 when the checkers see every planted behaviour and no honest\n" +
			"provider is flagged, else 1.",
		Example: "  assay devnet\n  assay devnet --for 45s --json\n" +
			"  assay devnet --checkers 5 --providers honest=3,liar=2,coward=1 --seed 7\n" +
			"  assay devnet --for 150s --providers honest=3,smallmem=1,sharer=2,oversold=1\n" +
			"  assay devnet --for 60s --providers honest=1,attested=1,counterfeit=1",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if cfg.Checkers, err = devnet.ParseCheckers(checkers); err != nil {
				return usageError{fmt.Errorf("--checkers: %w", err)}
			}
			if cfg.Providers, err = devnet.ParseProviders(providers); err != nil {
				return usageError{fmt.Errorf("--providers: %w", err)}
			}
			if cfg.For < 0 {
				return usageError{fmt.Errorf("--for %v: want a positive duration", cfg.For)}
			}
			cfg.Out = cmd.OutOrStdout()
			if verbose {
				cfg.Log = slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: slog.LevelDebug}))
			}
			r, err := devnet.Run(cmd.Context(), cfg)
			if err != nil {
				return err
			}
			if !r.Met() {
				return exit(1)
			}
			return nil
		},
	}
	f := cmd.Flags()
	f.DurationVar(&cfg.For, "for", time.Duration(0), "how long to check, from the first epoch on; 0: until Ctrl-C")
	f.StringVar(&cfg.Dir, "dir", "", "folder for the nodes' data; default: a new temporary one, kept")
	f.StringVar(&checkers, "checkers", "3", "checkers: N, or kind=n,... (kinds: honest)")
	f.StringVar(&providers, "providers", "honest=2,slow=1,liar=1,flaky=1,busy=1", "providers: N, or kind=n,...")
	f.Uint64Var(&cfg.Seed, "seed", 1, "fixes keys and behaviours")
	f.StringVar(&cfg.Listen, "listen", "127.0.0.1:8420", "address of the first checker's API; the others take free ports")
	f.BoolVar(&cfg.JSON, "json", false, "print one JSON document at the end, and nothing else")
	f.BoolVarP(&verbose, "verbose", "v", false, "log to stderr")
	return cmd
}

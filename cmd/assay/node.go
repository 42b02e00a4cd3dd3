package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/checker/committee"
	"github.com/assaynet/assay/cmd/node"
	"github.com/assaynet/assay/cmd/node/file"
)

func checkerCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "checker", Short: "Run a checker"}
	cmd.AddCommand(initCommand(node.KindChecker), runCommand(node.KindChecker, node.RunChecker))
	return cmd
}

func providerCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "provider", Short: "Run a provider's agent, and talk to it",
		Example: "  assay provider run --dir ./provider\n  assay provider status --dir ./provider\n  assay provider why --dir ./provider",
	}
	cmd.AddCommand(initCommand(node.KindProvider), runCommand(node.KindProvider, node.RunProvider), statusCommand(),
		whyCommand(), drainCommand(), resumeCommand(), tenantCommand(), selftestCommand())
	return cmd
}

func initCommand(kind string) *cobra.Command {
	var dir, name, network string
	cmd := &cobra.Command{
		Use:     "init --dir DIR",
		Short:   "Make a " + kind + "'s folder: a key and a commented configuration",
		Example: "  assay " + kind + " init --dir ./" + kind + " --network network.yaml",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if name == "" {
				name = kind
			}
			id, err := node.Init(dir, kind, name, network)
			if err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			fmt.Fprintf(out, "%s %v\nfolder %s: key (keep it secret), %s (look through it)\n\n", kind, id, dir, node.ConfigName)
			switch {
			case kind == node.KindProvider:
				fmt.Fprintf(out, "next: have this put into the network's file, and a copy of the file into %s:\n"+
					"  providers:\n    - id: %v\n      addrs: [/ip4/ADDRESS/udp/4101/quic-v1, /ip4/ADDRESS/tcp/4101]\n", dir, id)
			case network != "" && file.Exists(network):
				fmt.Fprintf(out, "next: have this put into %s:\n  checkers:\n    - {id: %v, name: %s}\n", network, id, name)
			default:
				fmt.Fprintf(out, "next: have the id put into the network's file, or make a network of your own:\n"+
					"  assay network init --simulated --params devnet --checker %s=%v --out %s/network.yaml\n", name, id, dir)
			}
			fmt.Fprintf(out, "then:\n  assay config check --dir %s\n  assay %s run --dir %s\n", dir, kind, dir)
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVar(&dir, "dir", "", "the node's folder; made if it is not there")
	f.StringVar(&name, "name", "", "the node's name (default "+kind+")")
	f.StringVar(&network, "network", "", "the network's file (default network.yaml in the folder)")
	_ = cmd.MarkFlagRequired("dir")
	return cmd
}

func runCommand(kind string, run func(context.Context, node.DaemonConfig) error) *cobra.Command {
	var d node.DaemonConfig
	cmd := &cobra.Command{
		Use:   "run --dir DIR",
		Short: "Run a " + kind + " until it is stopped",
		Long: "Runs the " + kind + " of a folder that assay " + kind + " init made. SIGTERM and Ctrl-C\n" +
			"end it cleanly within 5 s; SIGHUP makes it read its files again.",
		Example: "  assay " + kind + " run --dir ./" + kind,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			hup := make(chan os.Signal, 1)
			signal.Notify(hup, syscall.SIGHUP)
			defer signal.Stop(hup)
			reload := make(chan struct{})
			ctx := cmd.Context()
			go func() {
				for {
					select {
					case <-hup:
						select {
						case reload <- struct{}{}:
						case <-ctx.Done():
							return
						}
					case <-ctx.Done():
						return
					}
				}
			}()
			d.Getenv, d.Stderr, d.Reload = os.Getenv, cmd.ErrOrStderr(), reload
			d.Ready = func(line string) { fmt.Fprintln(cmd.OutOrStdout(), line) }
			err := run(ctx, d)
			if start, ok := errors.AsType[*node.StartError](err); ok {
				return hinted{err, start.Hint}
			}
			if err != nil {
				err = hinted{err, "assay config check --dir " + d.Dir + " says what is in force"}
			}
			return err
		},
	}
	f := cmd.Flags()
	f.StringVar(&d.Dir, "dir", "", "the node's folder")
	f.StringVar(&d.Network, "network", "", "the network's file, in place of the one that the configuration names")
	_ = cmd.MarkFlagRequired("dir")
	return cmd
}

func configCommand() *cobra.Command {
	var d node.DaemonConfig
	check := &cobra.Command{
		Use:     "check --dir DIR",
		Short:   "Read a node's files as its daemon would, and print what is in force",
		Example: "  assay config check --dir ./checker",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			d.Getenv = os.Getenv
			err := node.Check(d, cmd.OutOrStdout())
			if start, ok := errors.AsType[*node.StartError](err); ok {
				return hinted{err, start.Hint}
			}
			return err
		},
	}
	check.Flags().StringVar(&d.Dir, "dir", "", "the node's folder")
	check.Flags().StringVar(&d.Network, "network", "", "the network's file, in place of the one that the configuration names")
	_ = check.MarkFlagRequired("dir")
	cmd := &cobra.Command{Use: "config", Short: "Look at a node's configuration"}
	cmd.AddCommand(check)
	return cmd
}

func networkCommand() *cobra.Command {
	var (
		n                   node.Network
		params, out         string
		checkers, providers []string
		in                  time.Duration
	)
	create := &cobra.Command{
		Use:   "init --checker NAME=ID... --out FILE",
		Short: "Write a new network's file",
		Example: "  assay network init --name mine --simulated --params devnet \\\n" +
			"    --checker a=HEX --checker b=HEX --provider HEX=/ip4/127.0.0.1/udp/4101/quic-v1 --out network.yaml",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			for _, c := range checkers {
				name, text, ok := strings.Cut(c, "=")
				var id challenges.NodeID
				if !ok {
					return usageError{fmt.Errorf("--checker %q: want NAME=ID", c)}
				}
				if err := id.UnmarshalText([]byte(text)); err != nil {
					return usageError{fmt.Errorf("--checker %q: %w", c, err)}
				}
				n.Registry.Checkers = append(n.Registry.Checkers, committee.Member{ID: id, Name: name, Operator: name})
			}
			for _, p := range providers {
				text, addrs, ok := strings.Cut(p, "=")
				peer := node.Peer{Addrs: strings.Split(addrs, ",")}
				if !ok {
					return usageError{fmt.Errorf("--provider %q: want ID=ADDR,ADDR", p)}
				}
				if err := peer.ID.UnmarshalText([]byte(text)); err != nil {
					return usageError{fmt.Errorf("--provider %q: %w", p, err)}
				}
				n.Providers = append(n.Providers, peer)
			}
			if params != "standard" && params != "devnet" {
				return usageError{errors.New("--params: want standard or devnet")}
			}
			n.Registry.Genesis = uint64(time.Now().Add(in).Truncate(time.Second).UnixNano())
			if err := node.WriteNetwork(out, n, params); err != nil {
				return err
			}
			read, err := node.ReadNetwork(out)
			if err != nil {
				return errors.Join(err, os.Remove(out))
			}
			fmt.Fprintf(cmd.OutOrStdout(), "network %q, id %v, written to %s\nnext: give the file to every node\n", read.Registry.Name, read.Registry.Hash(), out)
			return nil
		},
	}
	f := create.Flags()
	f.StringVar(&n.Registry.Name, "name", "assay", "the network's name")
	f.BoolVar(&n.Registry.Simulated, "simulated", false, "allow simulated devices")
	f.StringVar(&params, "params", "standard", "standard or devnet")
	f.StringArrayVar(&checkers, "checker", nil, "NAME=ID of a checker; once for each")
	f.StringArrayVar(&providers, "provider", nil, "ID=ADDR,ADDR of a provider; once for each")
	f.DurationVar(&in, "in", 0, "epoch 0 starts so long from now")
	f.StringVar(&out, "out", "network.yaml", "the file")
	_ = create.MarkFlagRequired("checker")
	cmd := &cobra.Command{Use: "network", Short: "Make a network's file"}
	cmd.AddCommand(create)
	return cmd
}

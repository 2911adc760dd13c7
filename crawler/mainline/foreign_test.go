//go:build linux

package mainline_test

import (
	"context"
	"log/slog"
	"os"
	"testing"

	"canopy/crawler/testnet/foreign"
)

const clients = "testdata/clients"

// TestForeignClients crawls a swarm of other people's clients.
func TestForeignClients(t *testing.T) {
	if !foreign.Inside() {
		inNamespace(t)
		return
	}
	cfg := foreign.DefaultMainline()
	cfg.Scripts, cfg.Work = clients, t.TempDir()
	cfg.Log = slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))
	swarm, err := foreign.StartMainline(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer swarm.Close()
}

// inNamespace runs the calling test again in a network namespace.
func inNamespace(t *testing.T) {
	if err := missing(t.Context()); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	cmd := foreign.Command(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v", "-test.count=1")
	cmd.Stdout, cmd.Stderr = t.Output(), t.Output()
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
}

func missing(ctx context.Context) error {
	if err := foreign.CheckNamespace(ctx); err != nil {
		return err
	}
	return foreign.CheckMainline(clients)
}

package mainline_test

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"canopy/crawler/mainline"
	"canopy/crawler/mainline/krpc"
)

func TestSeeds(t *testing.T) {
	a, b := startNode(t, idOf(1), "127.3.0.1:0"), startNode(t, idOf(2), "127.3.0.2:0")
	a.learn(t, b)
	dead := respond(t, "127.3.0.3:0", idOf(3), func(*responder, *krpc.Message, netip.AddrPort) [][]byte { return nil })
	seeds, err := newWalker(t, local(dead.peer.Addr().String(), a.peer.Addr().String())).Seeds(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(seeds) != 2 || seeds[0] != a.peer || !slices.Contains(seeds, b.peer) {
		t.Errorf("seeds %v, want %v and %v", seeds, a.peer, b.peer)
	}
}

func TestNoSeeds(t *testing.T) {
	dead := respond(t, "127.3.0.4:0", idOf(3), func(*responder, *krpc.Message, netip.AddrPort) [][]byte { return nil })
	name := dead.peer.Addr().String()
	cfg := local(name, "host.invalid:6881")
	cfg.MaxTimeout = 500 * time.Millisecond
	_, err := newWalker(t, cfg).Seeds(t.Context())
	if err == nil {
		t.Fatal("seeds were found")
	}
	for _, part := range []string{name + ": no answer", "host.invalid:6881: can't be resolved"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q does not say %q", err, part)
		}
	}
	if got := dead.queries(); got < 2 {
		t.Errorf("asked %d times only", got)
	}
}

func TestForbiddenSeeds(t *testing.T) {
	cfg := local("127.0.0.1:6881")
	cfg.Allow = func(netip.AddrPort) bool { return false }
	if _, err := newWalker(t, cfg).Seeds(t.Context()); err == nil || !strings.Contains(err.Error(), "may not be contacted") {
		t.Errorf("%v", err)
	}
}

func TestSeedsCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	dead := respond(t, "127.3.0.5:0", idOf(3), func(*responder, *krpc.Message, netip.AddrPort) [][]byte {
		cancel()
		return nil
	})
	if _, err := newWalker(t, local(dead.peer.Addr().String())).Seeds(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

func TestBadConfig(t *testing.T) {
	for name, change := range map[string]func(*mainline.Config){
		"nohost":         func(c *mainline.Config) { c.Bootstrap = []string{":6881"} },
		"router.example": func(c *mainline.Config) { c.Bootstrap = []string{"router.example"} },
		"70000":          func(c *mainline.Config) { c.Bootstrap = []string{"a.example:70000"} },
		"not-an-address": func(c *mainline.Config) { c.Bind = []string{"not-an-address"} },
		"Allow":          func(c *mainline.Config) { c.Allow = nil },
	} {
		cfg := local("127.0.0.1:1")
		change(&cfg)
		if _, err := mainline.New(cfg); err == nil || name != "nohost" && !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestBindFails: an address that is not ours is our trouble, and an error.
func TestBindFails(t *testing.T) {
	cfg := local("127.0.0.1:6881")
	cfg.Bind = []string{"192.0.2.1"}
	if _, err := newWalker(t, cfg).Seeds(t.Context()); err == nil || !strings.Contains(err.Error(), "192.0.2.1") {
		t.Errorf("%v", err)
	}
}

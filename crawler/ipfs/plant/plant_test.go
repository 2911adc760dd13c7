package plant

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/ipfs/boxo/bitswap/client"
	"github.com/ipfs/boxo/bitswap/network/bsnet"
	"github.com/ipfs/boxo/blockstore"
	"github.com/ipfs/go-cid"
	"github.com/ipfs/go-datastore"
	dssync "github.com/ipfs/go-datastore/sync"
	"github.com/libp2p/go-libp2p"
	dht "github.com/libp2p/go-libp2p-kad-dht"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/routing"
)

const (
	serviceAgent = "example-gateway/1.2"
	testDHT      = "/canopy-test/kad/1.0.0"
)

// patience is far beyond what a test needs, also on a slow machine.
const patience = 2 * time.Minute

func newHost(t *testing.T, agent string) host.Host {
	t.Helper()
	h, err := libp2p.New(libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"), libp2p.UserAgent(agent), libp2p.DisableRelay())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Close() })
	return h
}

// addresses are where a host is reached, with its ID.
func addresses(h host.Host) (out []string) {
	for _, a := range h.Addrs() {
		out = append(out, a.String()+"/p2p/"+h.ID().String())
	}
	return out
}

// entry is a DHT of one server.
func entry(t *testing.T) []string {
	t.Helper()
	h := newHost(t, "dht-server/1")
	kad, err := dht.New(h, dht.Mode(dht.ModeServer), dht.V1ProtocolOverride(testDHT))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = kad.Close() })
	return addresses(h)
}

// fetcher is the bitswap client of those who run IPFS services.
type fetcher struct {
	host host.Host
	*client.Client
}

// newFetcher finds content through a DHT, or with no entry among its peers.
func newFetcher(t *testing.T, agent string, entry []string) fetcher {
	t.Helper()
	h := newHost(t, agent)
	var finder routing.ContentDiscovery
	if len(entry) > 0 {
		kad, err := dht.New(h, dht.Mode(dht.ModeClient), dht.V1ProtocolOverride(testDHT))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = kad.Close() })
		info, err := peer.AddrInfoFromString(entry[0])
		if err != nil {
			t.Fatal(err)
		}
		if err := h.Connect(t.Context(), *info); err != nil {
			t.Fatal(err)
		}
		finder = kad
	}
	net := bsnet.NewFromIpfsHost(h)
	c := client.New(t.Context(), net, finder, blockstore.NewBlockstore(dssync.MutexWrap(datastore.NewMapDatastore())))
	net.Start(c)
	t.Cleanup(func() { _ = c.Close(); net.Stop() })
	return fetcher{h, c}
}

// ServeHTTP is a trustless gateway for raw blocks.
func (f fetcher) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id, err := cid.Decode(strings.TrimPrefix(r.URL.Path, "/ipfs/"))
	if err != nil || r.URL.Query().Get("format") != "raw" {
		http.Error(w, "want /ipfs/CID?format=raw", http.StatusBadRequest)
		return
	}
	block, err := f.GetBlock(r.Context(), id)
	if err != nil {
		http.Error(w, err.Error(), http.StatusGatewayTimeout)
		return
	}
	_, _ = w.Write(block.RawData())
}

// serve runs a gateway over HTTP.
func serve(t *testing.T, h http.Handler) Gateway {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return Gateway{URL: s.URL + "/", Agent: "canopy-test", Client: s.Client()}
}

func newPlanter(t *testing.T, cfg Config) *Host {
	t.Helper()
	cfg.Listen, cfg.Protocol, cfg.Agent, cfg.Patience = []string{"/ip4/127.0.0.1/tcp/0"}, testDHT, "canopy-test", patience
	h, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Close() })
	if err := h.Join(t.Context()); err != nil {
		t.Fatal(err)
	}
	return h
}

// quick asks without pauses.
func quick(rounds int) Options {
	return Options{Rounds: rounds, Timeout: patience}
}

func TestGatewayIsToldFromWatcher(t *testing.T) {
	server := entry(t)
	gateway, watcher := newFetcher(t, serviceAgent, server), newFetcher(t, "watcher/1", server)
	h := newPlanter(t, Config{Bootstrap: server})
	o := quick(2)
	o.Began = func(r Round) {
		for _, text := range []string{r.Control, r.CID} { // it fetches all that is announced
			id, err := cid.Decode(text)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := watcher.GetBlock(t.Context(), id); err != nil {
				t.Errorf("the watcher could not fetch %s: %v", text, err)
			}
		}
	}
	r, err := Run(t.Context(), h, serve(t, gateway), o)
	if err != nil {
		t.Fatal(err)
	}
	for _, round := range r.Rounds {
		if round.Failed != "" || round.CID == round.Control {
			t.Errorf("round %+v", round)
		}
	}
	if len(r.Rounds) != 2 || len(r.Peers) != 1 || len(r.Watchers) != 1 {
		t.Fatalf("%+v", r)
	}
	p := r.Peers[0]
	if p.PeerID != gateway.host.ID().String() || p.Address != "127.0.0.1" || p.Port == 0 || p.Agent != serviceAgent || p.Rounds != 2 || p.First.IsZero() {
		t.Errorf("label %+v", p)
	}
	if r.Watchers[0].PeerID != watcher.host.ID().String() || r.Watchers[0].Rounds != 4 {
		t.Errorf("watcher %+v", r.Watchers[0])
	}
}

// A service that stands connected needs no DHT, and one that was not asked
// does not come.
func TestConnectedServiceNeedsNoDHT(t *testing.T) {
	gateway, other := newFetcher(t, serviceAgent, nil), newFetcher(t, "other/1", nil)
	h := newPlanter(t, Config{Connect: []string{addresses(gateway.host)[0], addresses(other.host)[0]}})
	r, err := Run(t.Context(), h, serve(t, gateway), quick(1))
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Peers) != 1 || r.Peers[0].Agent != serviceAgent || len(r.Watchers) != 0 {
		t.Errorf("%+v", r)
	}
}

func TestWhoOptedOutIsNotRecorded(t *testing.T) {
	gateway := newFetcher(t, serviceAgent, nil)
	h := newPlanter(t, Config{Connect: addresses(gateway.host)[:1]})
	h.cfg.Refuse = func(id string) bool { return id == gateway.host.ID().String() } // changed its mind
	r, err := Run(t.Context(), h, serve(t, gateway), quick(1))
	if err != nil || len(r.Peers)+len(r.Watchers) != 0 || r.Rounds[0].Failed != "" {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestNobodyIsContactedWhereItIsNotAllowed(t *testing.T) {
	gateway := newFetcher(t, serviceAgent, nil)
	for want, cfg := range map[string]Config{
		"no good addresses":             {Connect: addresses(gateway.host)[:1], Allow: func(a netip.Addr) bool { return !a.IsLoopback() }},
		"gater disallows connection":    {Connect: addresses(gateway.host)[:1], Refuse: func(id string) bool { return id == gateway.host.ID().String() }},
		"none of 1 entry points speaks": {Bootstrap: addresses(gateway.host)[:1], Patience: time.Second},
	} {
		cfg.Listen = []string{"/ip4/127.0.0.1/tcp/0"}
		h, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		if err := h.Join(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q: %v", want, err)
		}
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestBoundsAndInterruption(t *testing.T) {
	gateway, second := newFetcher(t, serviceAgent, nil), newFetcher(t, serviceAgent, nil)
	connect := []string{addresses(gateway.host)[0], addresses(second.host)[0]}
	both := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { // a fleet behind one name
		second.ServeHTTP(httptest.NewRecorder(), r)
		gateway.ServeHTTP(w, r)
	})
	h := newPlanter(t, Config{Connect: connect, MaxPeers: 1})
	r, err := Run(t.Context(), h, serve(t, both), quick(1))
	if err != nil || len(r.Peers) != 1 || r.Missed == 0 {
		t.Errorf("of one at most: %+v, %v", r, err)
	}
	o := quick(5)
	o.Enough = 2
	if r, err = Run(t.Context(), newPlanter(t, Config{Connect: connect}), serve(t, both), o); err != nil || len(r.Rounds) != 1 || len(r.Peers) != 2 || r.Stopped == "" {
		t.Errorf("enough: %+v, %v", r, err)
	}
	ctx, stop := context.WithCancel(t.Context())
	o = quick(5)
	o.Pause = time.Hour
	interrupt := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		gateway.ServeHTTP(w, r)
		time.AfterFunc(0, stop)
	})
	if r, err = Run(ctx, newPlanter(t, Config{Connect: connect}), serve(t, interrupt), o); err != nil || len(r.Peers) != 1 || r.Stopped != "it was stopped" {
		t.Errorf("interrupted: %+v, %v", r, err)
	}
}

func TestServiceThatFailsIsAResult(t *testing.T) {
	for name, h := range map[string]http.HandlerFunc{
		"504": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusGatewayTimeout) },
		"not the content": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "<html>Just a moment...</html>")
		},
	} {
		r, err := Run(t.Context(), newPlanter(t, Config{}), serve(t, h), quick(1))
		if err != nil || len(r.Rounds) != 1 || !strings.Contains(r.Rounds[0].Failed, name) || len(r.Peers) != 0 {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
}

// pinningService is the part of the pinning API that is asked, in front of a
// real bitswap client.
type pinningService struct {
	fetcher
	t       *testing.T
	removed chan string
}

func (p pinningService) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Authorization") != "Bearer secret" {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	status := pinStatus{ID: "pin-1", Status: "pinned"}
	switch r.Method {
	case http.MethodDelete:
		p.removed <- r.URL.Path
		w.WriteHeader(http.StatusAccepted)
		return
	case http.MethodPost:
		var body struct {
			CID     string
			Origins []string
		}
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			p.t.Error(err)
		}
		origin, err := peer.AddrInfoFromString(body.Origins[0])
		if err != nil {
			p.t.Error(err)
			return
		}
		if err := p.host.Connect(r.Context(), *origin); err != nil {
			p.t.Error(err)
		}
		if _, err := p.GetBlock(r.Context(), cid.MustParse(body.CID)); err != nil {
			p.t.Error(err)
		}
		status.Status = "queued"
	}
	_ = json.NewEncoder(w).Encode(status)
}

func TestPinningServiceIsAskedAndThePinTakenBack(t *testing.T) {
	service := pinningService{newFetcher(t, serviceAgent, nil), t, make(chan string, 1)}
	s := httptest.NewServer(service)
	t.Cleanup(s.Close)
	ask := Pinning{URL: s.URL, Token: "secret", Client: s.Client(), Poll: time.Millisecond}
	r, err := Run(t.Context(), newPlanter(t, Config{}), ask, quick(1))
	if err != nil || len(r.Peers) != 1 || r.Rounds[0].Failed != "" || <-service.removed != "/pins/pin-1" {
		t.Errorf("%+v, %v", r, err)
	}
	ask.Token = "wrong"
	if r, err = Run(t.Context(), newPlanter(t, Config{}), ask, quick(1)); err != nil || !strings.Contains(r.Rounds[0].Failed, "401") {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestConfigurationThatCannotBeMeant(t *testing.T) {
	for name, cfg := range map[string]Config{
		"connect": {Connect: []string{"nonsense"}}, "bootstrap": {Bootstrap: []string{"/ip4/127.0.0.1/tcp/4001"}},
		"announce": {Announce: []string{"here"}}, "listen": {Listen: []string{"/ip4/127.0.0.1"}},
	} {
		if h, err := New(cfg); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v, %v", name, h, err)
		}
	}
}

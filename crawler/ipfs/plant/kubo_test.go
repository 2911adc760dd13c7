package plant

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// startKubo runs Kubo with its gateway on loopback and returns the gateway's
// URL and the node's address.
func startKubo(t *testing.T) (gateway, address string) {
	t.Helper()
	program := os.Getenv("CANOPY_IPFS_BIN")
	if program == "" {
		t.Skip("CANOPY_IPFS_BIN names no Kubo: run make kubo") // a build of minutes, which CI does without
	}
	repo := t.TempDir()
	run := func(ctx context.Context, args ...string) *exec.Cmd {
		cmd := exec.CommandContext(ctx, program, args...)
		cmd.Env = append(os.Environ(), "IPFS_PATH="+repo, "HOME="+repo)
		cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
		cmd.WaitDelay = 20 * time.Second
		return cmd
	}
	if out, err := run(t.Context(), "init", "--profile=test", "--empty-repo").CombinedOutput(); err != nil {
		t.Fatalf("initialise Kubo: %v: %s", err, out)
	}
	configure(t, filepath.Join(repo, "config"))
	ctx, stop := context.WithCancel(context.Background())
	daemon := run(ctx, "daemon")
	daemon.Stdout, daemon.Stderr = t.Output(), t.Output()
	if err := daemon.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- daemon.Wait() }()
	t.Cleanup(func() { stop(); <-ended })
	gateway = await(t, filepath.Join(repo, "gateway"), ended)
	out, err := run(t.Context(), "id").Output()
	if err != nil {
		t.Fatal(err)
	}
	var id struct{ Addresses []string }
	if err := json.Unmarshal(out, &id); err != nil || len(id.Addresses) == 0 {
		t.Fatalf("ask Kubo who it is: %v: %s", err, out)
	}
	return gateway, id.Addresses[0]
}

// configure keeps a repository to loopback.
func configure(t *testing.T, file string) {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	type section = map[string]any
	var config section
	if err := json.Unmarshal(raw, &config); err != nil {
		t.Fatal(err)
	}
	config["Addresses"] = section{"Swarm": []string{"/ip4/127.0.0.1/tcp/0"}, "API": "/ip4/127.0.0.1/tcp/0", "Gateway": "/ip4/127.0.0.1/tcp/0"}
	config["Bootstrap"] = []string{}
	config["Routing"] = section{"Type": "none"}
	config["DNS"] = section{"Resolvers": section{}}
	config["Ipns"] = section{"DelegatedPublishers": []string{}}
	config["AutoConf"], config["AutoTLS"] = section{"Enabled": false}, section{"Enabled": false}
	config["Discovery"] = section{"MDNS": section{"Enabled": false}}
	if raw, err = json.Marshal(config); err == nil {
		err = os.WriteFile(file, raw, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// await returns what the daemon writes to a file once it is ready.
func await(t *testing.T, file string, ended <-chan error) string {
	t.Helper()
	poll := time.NewTicker(100 * time.Millisecond)
	defer poll.Stop()
	for {
		if raw, err := os.ReadFile(file); err == nil && len(raw) > 0 {
			return strings.TrimSpace(string(raw))
		}
		select {
		case err := <-ended:
			t.Fatalf("Kubo ended: %v", err)
		case <-t.Context().Done():
			t.Fatal("Kubo did not start")
		case <-poll.C:
		}
	}
}

func TestKuboGatewayIsLabelled(t *testing.T) {
	gateway, address := startKubo(t)
	other := newFetcher(t, "other/1", nil)
	h := newPlanter(t, Config{Connect: []string{address, addresses(other.host)[0]}})
	r, err := Run(t.Context(), h, Gateway{URL: gateway, Agent: "canopy-test", Client: http.DefaultClient}, quick(2))
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Peers) != 1 || r.Peers[0].Rounds != 2 || r.Rounds[1].Failed != "" || !strings.HasPrefix(r.Peers[0].Agent, "kubo/") || !strings.HasSuffix(address, r.Peers[0].PeerID) {
		t.Errorf("%+v", r)
	}
}

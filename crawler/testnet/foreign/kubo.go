//go:build linux

package foreign

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// startKubo runs Kubo as a DHT server at an address.
func (s *IPFS) startKubo(ctx context.Context, address string) error {
	name := "kubo-" + address
	dir, err := s.procs.folder(name)
	if err != nil {
		return err
	}
	init := exec.CommandContext(ctx, s.cfg.Kubo, "init", "--profile=test", "--empty-repo")
	repo := filepath.Join(dir, ".ipfs") // where it looks in its HOME
	init.Env = append(os.Environ(), "HOME="+dir, "IPFS_PATH="+repo)
	if out, err := init.CombinedOutput(); err != nil {
		return fmt.Errorf("initialise Kubo: %w: %s", err, out)
	}
	if err := configureKubo(filepath.Join(repo, "config"), address, s.bootstrap); err != nil {
		return fmt.Errorf("configure Kubo: %w", err)
	}
	if err := s.procs.start(ctx, name, nil, s.cfg.Kubo, "daemon", "--repo-dir="+repo); err != nil {
		return err
	}
	r := &report{}
	s.reports = append(s.reports, r)
	go watchKubo(ctx, "http://"+address+":5001/api/v0/", r)
	return nil
}

// configureKubo changes what a fresh repository has in its config file.
func configureKubo(file, address, bootstrap string) error {
	raw, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var config map[string]any
	if err := json.Unmarshal(raw, &config); err != nil {
		return err
	}
	type section = map[string]any
	config["Addresses"] = section{
		"Swarm":   []string{"/ip4/" + address + "/tcp/4001", "/ip4/" + address + "/udp/4001/quic-v1"},
		"API":     "/ip4/" + address + "/tcp/5001",
		"Gateway": []string{},
	}
	config["Bootstrap"] = []string{bootstrap}
	config["Discovery"] = section{"MDNS": section{"Enabled": false}}
	config["Routing"] = section{"Type": "dhtserver", "DelegatedRouters": []string{}}
	config["Ipns"] = section{"DelegatedPublishers": []string{}}
	config["DNS"] = section{"Resolvers": section{}}
	config["AutoConf"] = section{"Enabled": false}
	config["AutoTLS"] = section{"Enabled": false}
	if raw, err = json.Marshal(config); err != nil {
		return err
	}
	return os.WriteFile(file, raw, 0o600)
}

// watchKubo asks a daemon once a second for the truth until ctx ends.
func watchKubo(ctx context.Context, api string, r *report) {
	pace := time.NewTicker(time.Second)
	defer pace.Stop()
	for {
		if n, err := askKubo(ctx, api); err == nil { // it takes a while to start
			r.set([]IPFSNode{n})
		}
		select {
		case <-ctx.Done():
			return
		case <-pace.C:
		}
	}
}

func askKubo(ctx context.Context, api string) (IPFSNode, error) {
	var id struct {
		ID           string
		Addresses    []string
		AgentVersion string
	}
	var table struct {
		Buckets []struct{ Peers []struct{ ID string } }
	}
	if err := post(ctx, api+"id", &id); err != nil {
		return IPFSNode{}, err
	}
	if err := post(ctx, api+"stats/dht?arg=wan", &table); err != nil {
		return IPFSNode{}, err
	}
	n := IPFSNode{ID: id.ID, Agent: id.AgentVersion, Server: true}
	for _, a := range id.Addresses {
		if !strings.Contains(a, "/ip4/127.") {
			n.Addresses = append(n.Addresses, a)
		}
	}
	for _, b := range table.Buckets {
		for _, p := range b.Peers {
			n.Table = append(n.Table, p.ID)
		}
	}
	return n, nil
}

// post calls Kubo's RPC interface, which wants POST for everything.
func post(ctx context.Context, url string, answer any) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("call %s: %s", url, response.Status)
	}
	return json.NewDecoder(response.Body).Decode(answer)
}

package main

import (
	"path/filepath"
	"strings"
	"testing"

	"canopy/crawler/store/storetest"
)

func TestPruneShowsBeforeItRemoves(t *testing.T) {
	t.Parallel()
	storetest.NeedEngine(t)
	store := "chdb:" + filepath.Join(t.TempDir(), "record")
	for _, args := range [][]string{
		{"store", "migrate"},
		{"store", "sql", "--write", "INSERT INTO probes_log (network, peer_id, probed_at) VALUES ('ipfs', 'old', '2020-01-05 00:00:00'), ('ipfs', 'new', now64(3))"},
	} {
		if r := canopy(t, append(args, "--store", store)...); r.code != exitDone {
			t.Fatal(r.stderr)
		}
	}
	ask := func(args ...string) result {
		return canopy(t, append([]string{"store", "prune", "--store", store, "--older-than", "probes=1y"}, args...)...)
	}
	left := func() string {
		return canopy(t, "store", "sql", "--store", store, "--format", "TSV", "SELECT count() FROM probes").stdout
	}
	if r := ask(); r.code != exitDone || !strings.Contains(r.stdout, "202001") || !strings.Contains(r.stdout, "would be removed") || left() != "2\n" {
		t.Errorf("dry run: %d %s%s, %s rows left", r.code, r.stdout, r.stderr, left())
	}
	if r := ask("--yes"); r.code != exitDone || !strings.Contains(r.stdout, "was removed") || left() != "1\n" {
		t.Errorf("--yes: %d %s%s, %s rows left", r.code, r.stdout, r.stderr, left())
	}
	for _, bad := range []string{"probes", "probes=5", "probes=-5d", "probes=0d", "probes=xd", "probes=99999y"} {
		oneClearLine(t, canopy(t, "store", "prune", "--store", store, "--older-than", bad), exitUsage, bad)
	}
	oneClearLine(t, canopy(t, "store", "prune", "--store", store, "--older-than", "peers=5d"), exitFailed, "peers")
	oneClearLine(t, canopy(t, "store", "prune", "--store", store), exitUsage, "--older-than")
}

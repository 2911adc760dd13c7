package store

import (
	"context"
	"fmt"
	"strings"
	"testing"
)

// TestClusterStatements lets the real engine parse the whole schema as it is
// sent to a cluster.
func TestClusterStatements(t *testing.T) {
	needEngine(t)
	s := openAt(t, "chdb:"+dataDir+"?database="+newDatabase(), Options{})
	cluster, err := parseURL("clickhouse://canopy@a:9000,b:9000/record?cluster=observatory")
	if err != nil {
		t.Fatal(err)
	}
	list, err := readMigrations(migrationFiles)
	if err != nil {
		t.Fatal(err)
	}
	statements := []string{migrationsTable}
	for _, m := range list {
		statements = append(statements, m.statements...)
	}
	tables := 0
	for _, statement := range statements {
		all, err := cluster.onCluster(statement)
		if err != nil {
			t.Fatal(err)
		}
		for _, one := range all {
			if !strings.Contains(one, " ON CLUSTER observatory") {
				t.Errorf("not on the cluster: %s", one)
			}
			if err := s.SQL(context.Background(), new(strings.Builder), "EXPLAIN AST "+one, "TSV"); err != nil {
				t.Errorf("%v\n%s", err, one)
			}
		}
		if last := all[len(all)-1]; strings.Contains(last, "ALTER") && strings.Contains(last, "ORDER BY") {
			t.Errorf("a Distributed table has no sorting key: %s", last)
		}
		if strings.Contains(all[0], "MergeTree") {
			tables++
			if !strings.Contains(all[0], "ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/record/") || !strings.Contains(all[1], "Distributed(observatory, record,") {
				t.Errorf("%v is not replicated and distributed", all)
			}
		}
		if alone, err := s.target.onCluster(statement); err != nil || len(alone) != 1 || alone[0] != statement {
			t.Errorf("without a cluster %q becomes %q, %v", statement, alone, err)
		}
	}
	if tables < 8 {
		t.Errorf("%d tables, want those of the whole schema", tables)
	}
	if cluster.options.Settings["insert_distributed_sync"] != 1 || cluster.options.Settings["cluster"] != nil {
		t.Errorf("settings %v", cluster.options.Settings)
	}
}

// TestShardingKeepsIdentitiesTogether: the key must be part of what identifies
// a row.
func TestShardingKeepsIdentitiesTogether(t *testing.T) {
	cluster := &target{cluster: "c", database: "d"}
	list, err := readMigrations(migrationFiles)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"crawls_log": "crawl_id", "visits_log": "crawl_id", "edges_log": "crawl_id", "probes_log": "peer_id"}
	for _, m := range list {
		for _, statement := range m.statements {
			name := createTable.FindStringSubmatch(statement)
			if name == nil || want[name[1]] == "" {
				continue
			}
			all, err := cluster.onCluster(statement)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasSuffix(all[1], fmt.Sprintf("cityHash64(%s))", want[name[1]])) {
				t.Errorf("%s: %s", name[1], all[1])
			}
			delete(want, name[1])
		}
	}
	if len(want) > 0 {
		t.Errorf("never created: %v", want)
	}
}

func TestClusterNames(t *testing.T) {
	for _, bad := range []string{"a'b", "a b", ""} {
		if _, err := parseURL("http://h:8123/db?cluster=" + strings.ReplaceAll(bad, " ", "%20")); err == nil || !strings.Contains(err.Error(), "is no name of a cluster") {
			t.Errorf("%q as the name of a cluster: %v", bad, err)
		}
	}
}

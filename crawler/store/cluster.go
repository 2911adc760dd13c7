package store

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// On a cluster every table of the record is two: NAME_local, replicated, holds
// a shard's rows, and NAME, Distributed, is what everybody else names. So the
// migrations, the writers and the views are the same as on one server.
var (
	createTable  = regexp.MustCompile(`^CREATE TABLE IF NOT EXISTS (\w+)`)
	createView   = regexp.MustCompile(`^(CREATE (?:OR REPLACE )?VIEW(?: IF NOT EXISTS)?) (\w+)`)
	alterTable   = regexp.MustCompile(`^ALTER TABLE (\w+)`)
	tableEngine  = regexp.MustCompile(`(?m)^ENGINE = (\w*MergeTree)(?:\((\w+)\))?$`)
	newKey       = regexp.MustCompile(`,\s+MODIFY ORDER BY \([^)]*\)`) // of the tables that hold rows only
	sortingKey   = regexp.MustCompile(`(?m)^ORDER BY \(?(\w+)(?:, (\w+))?`)
	distributing = map[string]any{
		"insert_distributed_sync":  1,        // an insert is acknowledged when the shards have it
		"distributed_product_mode": "global", // subqueries of the views see all shards
	}
)

// onCluster turns one statement of the schema into those that do the same on
// every server of the cluster. Without a cluster it is that statement.
func (t *target) onCluster(statement string) ([]string, error) {
	on := " ON CLUSTER " + t.cluster
	switch {
	case t.cluster == "":
		return []string{statement}, nil
	case createTable.MatchString(statement):
		return t.clusterTable(statement)
	case createView.MatchString(statement):
		return []string{createView.ReplaceAllString(statement, "$1 $2"+on)}, nil
	case alterTable.MatchString(statement):
		return []string{
			alterTable.ReplaceAllString(statement, "ALTER TABLE ${1}_local"+on),
			alterTable.ReplaceAllString(newKey.ReplaceAllString(statement, ""), "ALTER TABLE $1"+on),
		}, nil
	}
	return nil, fmt.Errorf("no form for a cluster is known of %.40q", statement)
}

func (t *target) clusterTable(statement string) ([]string, error) {
	name := createTable.FindStringSubmatch(statement)[1]
	key := sortingKey.FindStringSubmatch(statement)
	if !tableEngine.MatchString(statement) || key == nil {
		return nil, errors.New("a table needs a MergeTree engine and a sorting key, each on a line of its own")
	}
	local := createTable.ReplaceAllString(statement, "CREATE TABLE IF NOT EXISTS ${1}_local ON CLUSTER "+t.cluster)
	local = tableEngine.ReplaceAllStringFunc(local, func(engine string) string {
		m := tableEngine.FindStringSubmatch(engine)
		arguments := fmt.Sprintf("'/clickhouse/tables/{shard}/%s/%s', '{replica}'", t.database, name)
		if m[2] != "" {
			arguments += ", " + m[2]
		}
		return fmt.Sprintf("ENGINE = Replicated%s(%s)", m[1], arguments)
	})
	// All rows of one crawl, and all probes of one peer, share a shard: copies
	// of a row meet there.
	shard := strings.TrimPrefix(key[2], " ")
	if shard == "" {
		shard = key[1]
	}
	all := fmt.Sprintf("CREATE TABLE IF NOT EXISTS %s ON CLUSTER %s AS %s_local\nENGINE = Distributed(%s, %s, %s_local, cityHash64(%s))",
		name, t.cluster, name, t.cluster, t.database, name, shard)
	return []string{local, all}, nil
}

// onEveryServer is the clause that makes a statement about databases reach all.
func (t *target) onEveryServer() string {
	if t.cluster == "" {
		return ""
	}
	return " ON CLUSTER " + t.cluster
}

// partsOf is the table in FROM that lists parts, of all servers, and local the
// ending of the tables that hold them.
func (t *target) partsOf() (parts, local string) {
	if t.cluster == "" {
		return "system.parts", ""
	}
	return fmt.Sprintf("cluster('%s', system.parts)", t.cluster), "_local" // one replica of each shard
}

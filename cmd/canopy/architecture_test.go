package main

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"strings"
	"testing"
)

// arrows says which packages of Canopy each package may import, and which
// libraries may be imported in one place only. docs/architecture.md tells why.
var arrows = map[string][]string{
	"crawler/identifier":       {},
	"crawler":                  {"crawler/observation", "crawler/identifier"},
	"crawler/observation":      {},
	"crawler/mainline":         {"crawler/observation", "crawler/mainline/krpc"},
	"crawler/mainline/krpc":    {},
	"crawler/ipfs":             {"crawler/observation", "crawler/ipfs/endpoint"},
	"crawler/ipfs/endpoint":    {"crawler/observation"},
	"crawler/ipfs/plant":       {"crawler/observation"},
	"crawler/monitor":          {"crawler/observation"},
	"crawler/nebula":           {"crawler/observation", "crawler/ipfs/endpoint", "crawler/identifier"},
	"crawler/schedule":         {},
	"crawler/installation":     {},
	"crawler/address":          {"crawler/observation", "crawler/identifier", "crawler/installation"},
	"crawler/columns":          {},
	"crawler/address/refresh":  {"crawler/observation", "crawler/address"},
	"crawler/store":            {"crawler/observation", "crawler/columns", "crawler/store/chdb"},
	"crawler/store/chdb":       {"crawler/installation"},
	"crawler/store/storetest":  {"crawler/store", "crawler/store/chdb", "crawler/testnet/checkout"},
	"crawler/testnet":          {"crawler/observation"},
	"crawler/testnet/mainline": {"crawler/observation", "crawler/testnet", "crawler/mainline/krpc"},
	"crawler/testnet/ipfs":     {"crawler/observation", "crawler/testnet"},
	"crawler/testnet/foreign":  {"crawler/observation", "crawler/testnet"},
	"crawler/testnet/process":  {},
	"crawler/testnet/checkout": {},
	"analysis":                 {},
	"analysis/operator":        {"analysis", "crawler/identifier"},
	"analysis/shares":          {"analysis", "analysis/operator"},
	"analysis/concentration":   {"analysis", "analysis/operator"},
	"analysis/churn":           {"analysis", "analysis/operator"},
	"analysis/reachability":    {"analysis", "analysis/operator"},
	"analysis/clearcut":        {"analysis", "analysis/operator", "crawler/identifier"},
	"analysis/population":      {"analysis"},
	"analysis/identity":        {"analysis", "analysis/operator"},
	"analysis/survival":        {"analysis", "analysis/operator"},
	"analysis/truth":           {"analysis"},
	"analysis/findability":     {"analysis", "analysis/operator"},
	"analysis/comparison":      {"analysis"},
	"reports":                  {"analysis", "analysis/*", "reports/figure", "reports/page"},
	"reports/dataset":          {"analysis", "analysis/*"},
	"reports/figure":           {"analysis", "reports/typeface"},
	"reports/page":             {"analysis", "reports/figure", "reports/typeface"},
	"reports/typeface":         {},
	"cmd/canopy":               {"*"},
	"cmd/lint":                 {},
}

// onlyIn lists libraries with the packages that may know them.
var onlyIn = map[string][]string{
	"github.com/libp2p/":           {"crawler/ipfs", "crawler/ipfs/plant", "crawler/testnet/ipfs"},
	"github.com/ipfs/boxo":         {"crawler/ipfs/plant"},
	"github.com/anacrolix/":        {"crawler/mainline", "crawler/testnet/mainline", "crawler/testnet/foreign"},
	"gonum.org/v1/plot":            {"reports/figure"},
	"github.com/ClickHouse/":       {"crawler/store", "crawler/store/chdb"},
	"github.com/ebitengine/purego": {"crawler/store/chdb"},
	"github.com/spf13/cobra":       {"cmd/canopy"},
	"github.com/prometheus/":       {"cmd/canopy"},
	"github.com/parquet-go/":       {"reports/dataset"},
	"golang.org/x/tools/":          {"cmd/lint"},
	"testing":                      {"crawler/store/storetest"},
}

type goPackage struct {
	ImportPath string
	Doc        string
	Imports    []string
}

func TestArchitecture(t *testing.T) {
	t.Parallel()
	packages := listPackages(t)
	if len(packages) < 10 {
		t.Fatalf("go list found %d packages only", len(packages))
	}
	for _, p := range packages {
		name := strings.TrimPrefix(p.ImportPath, "canopy/")
		if p.Doc == "" {
			t.Errorf("%s has no package comment", name)
		}
		allowed, known := arrows[name]
		if !known {
			t.Errorf("%s is not in the architecture: add it here and to docs/architecture.md, or put its code where it belongs", name)
		}
		for _, imported := range p.Imports {
			if own, ok := strings.CutPrefix(imported, "canopy/"); ok && !matches(own, allowed) {
				t.Errorf("%s imports %s: arrows go to %v only", name, own, allowed)
			}
			for library, homes := range onlyIn {
				if strings.HasPrefix(imported, library) && !matches(name, homes) {
					t.Errorf("%s imports %s, which belongs to %v", name, imported, homes)
				}
			}
		}
	}
}

func matches(name string, patterns []string) bool {
	for _, p := range patterns {
		prefix, wild := strings.CutSuffix(p, "*")
		if name == p || wild && strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

func listPackages(t *testing.T) []goPackage {
	cmd := exec.Command("go", "list", "-json=ImportPath,Doc,Imports", "canopy/...")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var packages []goPackage
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p goPackage
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return packages
		} else if err != nil {
			t.Fatalf("read go list: %v", err)
		}
		packages = append(packages, p)
	}
}

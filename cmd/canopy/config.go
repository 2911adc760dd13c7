package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// configure fills the flags of cmd that the user did not give from the
// environment, then from the configuration file. The command tree is the
// schema of the file: the key of a setting is the name of its flag, below the
// names of the commands that lead to it.
//
//	store: chdb:/var/lib/canopy
//	crawl:
//	  mainline:
//	    rate: 2000
func (a *app) configure(cmd *cobra.Command) error {
	given := map[string]bool{}
	// Not Visit: it leaves out what was given to the command that runs when cmd is a section of it.
	cmd.Flags().VisitAll(func(f *pflag.Flag) { given[f.Name] = f.Changed })
	var err error
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		name := envName(cmd, f)
		value, ok := os.LookupEnv(name)
		if err != nil || given[f.Name] || !ok {
			return
		}
		given[f.Name] = true
		if setErr := cmd.Flags().Set(f.Name, value); setErr != nil {
			err = usagef("read environment: %s: %w", name, setErr)
		}
	})
	if err != nil || a.config == "" {
		return err
	}
	if a.settings == nil { // once: it may be a pipe, and observe asks for each section
		if a.settings, err = os.ReadFile(a.config); err != nil {
			return readable("configuration", a.config, err)
		}
	}
	file, err := parser.ParseBytes(a.settings, 0)
	if err != nil {
		return usagef("read configuration %s: %w", a.config, err)
	}
	for _, doc := range file.Docs {
		if doc.Body == nil {
			continue
		}
		if err := applyConfig(cmd.Root(), cmd, doc.Body, given); err != nil {
			return usagef("read configuration: %s:%w", a.config, err)
		}
	}
	return nil
}

// envName is the variable that sets a flag: CANOPY_STORE for a setting of all
// commands, CANOPY_CRAWL_MAINLINE_RATE for one command's own.
func envName(cmd *cobra.Command, f *pflag.Flag) string {
	path := "canopy"
	if cmd.Root().PersistentFlags().Lookup(f.Name) == nil {
		path = cmd.CommandPath()
	}
	return strings.ToUpper(strings.NewReplacer(" ", "_", "-", "_").Replace(path + "_" + f.Name))
}

// applyConfig checks the settings below command at against the tree, and sets
// those that concern the command that is about to run. Its errors begin with
// the line number.
func applyConfig(at, running *cobra.Command, node ast.Node, given map[string]bool) error {
	mapping, ok := node.(ast.MapNode)
	if !ok {
		return fmt.Errorf("%d: want settings as \"name: value\"", node.GetToken().Position.Line)
	}
	for entries := mapping.MapRange(); entries.Next(); {
		key, value := entries.Key().String(), entries.Value()
		line := entries.Key().GetToken().Position.Line
		// store and data are both a setting and a command: a mapping means the latter
		if sub := subcommand(at, key); sub != nil && (value.Type() == ast.MappingType || settingOf(at, key) == nil) {
			if err := applyConfig(sub, running, value, given); err != nil {
				return err
			}
			continue
		}
		flag := settingOf(at, key)
		if flag == nil {
			return fmt.Errorf("%d: unknown key %q: %q has no such setting", line, key, at.CommandPath())
		}
		if err := setFlag(flag, value, at == running || at == running.Root(), given); err != nil {
			return fmt.Errorf("%d: %s: %w", line, key, err)
		}
	}
	return nil
}

// settingOf finds the flag that a key of the file may set.
func settingOf(at *cobra.Command, key string) *pflag.Flag {
	if key == "config" || key == "help" {
		return nil
	}
	if flag := at.Flags().Lookup(key); flag != nil {
		return flag
	}
	return at.PersistentFlags().Lookup(key)
}

func subcommand(at *cobra.Command, name string) *cobra.Command {
	for _, c := range at.Commands() {
		if c.Name() == name {
			return c
		}
	}
	return nil
}

// setFlag checks the value also where another command runs: a typing mistake
// should be found on the first day.
func setFlag(flag *pflag.Flag, node ast.Node, concerned bool, given map[string]bool) error {
	values, err := scalars(node)
	if err != nil {
		return err
	}
	if concerned && given[flag.Name] {
		return nil
	}
	before := flag.Value.String()
	list, isList := flag.Value.(pflag.SliceValue)
	var beforeList []string
	if isList {
		beforeList = list.GetSlice()
		err = list.Replace(values)
	} else if len(values) != 1 {
		return fmt.Errorf("want one value, not a list")
	} else {
		err = flag.Value.Set(values[0])
	}
	if err != nil {
		return fmt.Errorf("%q is no %s", strings.Join(values, ", "), flag.Value.Type())
	}
	if concerned {
		flag.Changed = true
		return nil
	}
	if isList {
		return list.Replace(beforeList)
	}
	return flag.Value.Set(before)
}

func scalars(node ast.Node) ([]string, error) {
	switch n := node.(type) {
	case *ast.SequenceNode:
		var all []string
		for _, item := range n.Values {
			one, err := scalars(item)
			if err != nil {
				return nil, err
			}
			all = append(all, one...)
		}
		return all, nil
	case ast.MapNode, *ast.NullNode:
		return nil, fmt.Errorf("want a value")
	case *ast.StringNode:
		return []string{n.Value}, nil
	case ast.ScalarNode:
		return []string{n.GetToken().Value}, nil
	default:
		return nil, fmt.Errorf("want a plain value")
	}
}

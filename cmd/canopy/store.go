package main

import (
	"context"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"canopy/crawler/columns"
	"canopy/crawler/observation"
	"canopy/crawler/store"
)

func newStore(a *app) *cobra.Command {
	var format string
	var write bool
	sql := &cobra.Command{
		Use: "sql QUERY", Short: "Run a query on the record and print what it finds", Args: cobra.ExactArgs(1),
		Long: `Run one ClickHouse query. Without --write nothing can be changed. The tables are described
in docs/data-dictionary.md.`,
		Example: `  canopy store sql 'SELECT network, outcome, count() FROM visits GROUP BY ALL ORDER BY ALL'
  canopy store sql --format JSONEachRow 'SELECT * FROM crawls'`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.storeSQL(cmd.Context(), args[0], format, write)
		},
	}
	sql.Flags().StringVar(&format, "format", "", "ClickHouse output `format`, such as JSONEachRow or CSV (default: an aligned table)")
	sql.Flags().BoolVar(&write, "write", false, "allow the query to change the record")
	return group("store", "The record: status, migrations, queries, serving",
		`The record is kept in ClickHouse: an engine inside this program (--store chdb:DIR, after
make engine) or a server of yours (--store clickhouse://user:pass@host:9000/db).`,
		&cobra.Command{
			Use: "status", Short: "What the record holds", Args: cobra.NoArgs,
			Example: "  canopy store status\n  canopy store status --store chdb:demo/record --json",
			RunE:    func(cmd *cobra.Command, _ []string) error { return a.storeStatus(cmd.Context()) },
		},
		&cobra.Command{
			Use: "migrate", Short: "Bring the schema up to date, and close crawls that were left running", Args: cobra.NoArgs,
			Long: `Bring the schema up to date, send what waits in the spool, and close crawls whose programs were
killed before they could. A second run does nothing.`,
			Example: "  canopy store migrate --store clickhouse://canopy@db.example.org:9000/canopy",
			RunE:    func(cmd *cobra.Command, _ []string) error { return a.storeMigrate(cmd.Context()) },
		}, sql, newStorePrune(a), newStoreServe(a))
}

// withStore runs one command on the open record.
func (a *app) withStore(ctx context.Context, o store.Options, do func(*store.Store) error) error {
	s, err := a.openStore(ctx, o)
	if err != nil {
		return err
	}
	defer a.close("store", s.Close)
	return do(s)
}

func (a *app) storeMigrate(ctx context.Context) error {
	return a.withStore(ctx, store.Options{}, func(s *store.Store) error {
		if err := a.bringUpToDate(ctx, s); err != nil {
			return fmt.Errorf("migrate store: %w", err)
		}
		fmt.Fprintln(a.stdout, "The schema is up to date.")
		return nil
	})
}

func (a *app) storeSQL(ctx context.Context, query, format string, write bool) error {
	return a.withStore(ctx, store.Options{ReadOnly: !write, MustExist: true}, func(s *store.Store) error {
		if err := s.Ready(ctx); err != nil {
			return fmt.Errorf("run query: %w", err)
		}
		if err := s.SQL(ctx, a.stdout, query, format); err != nil {
			return fmt.Errorf("run query: %w", err)
		}
		return nil
	})
}

func (a *app) storeStatus(ctx context.Context) error {
	return a.withStore(ctx, store.Options{ReadOnly: true}, func(s *store.Store) error {
		status, err := s.Status(ctx)
		if err != nil {
			return fmt.Errorf("read store status: %w", err)
		}
		if a.json {
			return a.printJSON(status)
		}
		return a.printStatus(status)
	})
}

func (a *app) printStatus(status store.Status) error {
	fmt.Fprintf(a.stdout, "%s, database %s: ClickHouse %s, schema %d of %d\n", status.Store, status.Database, status.Version, status.Schema, status.Latest)
	tw := columns.New(a.stdout, tabwriter.AlignRight)
	fmt.Fprintln(tw, "table\trows\tbytes\toldest\t")
	for _, t := range status.Tables {
		oldest := "-"
		if t.Oldest != nil {
			oldest = t.Oldest.Format(time.DateOnly)
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t\n", t.Name, count(t.Rows), count(t.Bytes), oldest)
		for _, m := range t.Months {
			fmt.Fprintf(tw, "%s\t%s\t%s\t\t\n", m.Month, count(m.Rows), count(m.Bytes))
		}
	}
	if len(status.Crawls) > 0 {
		fmt.Fprintln(tw)
	}
	for _, c := range status.Crawls {
		fmt.Fprintf(tw, "%s\t%s\t%s crawls\t\n", c.Network, c.State, count(c.Crawls))
	}
	if err := tw.Flush(); err != nil {
		return fmt.Errorf("write output: %w", err)
	}
	for _, u := range status.Unfinished {
		fmt.Fprintln(a.stdout, unfinished(u))
	}
	if sp := status.Spool; sp != nil && (sp.Segments > 0 || sp.Bad > 0) {
		fmt.Fprintf(a.stdout, "%s rows (%s bytes) wait in the spool %s; segments set aside as damaged: %d\n", count(sp.Rows), count(sp.Bytes), sp.Folder, sp.Bad)
	}
	return nil
}

// unfinished says how a crawl stands that is marked running.
func unfinished(u store.Unfinished) string {
	c := u.Crawl
	text := fmt.Sprintf("%s crawl %s from %s, since %s", observation.Text(c.Network), c.ID, observation.Text(c.Vantage), c.StartedAt.UTC().Format(time.DateTime))
	if u.PID != 0 {
		text += fmt.Sprintf(", process %d on %s", u.PID, observation.Text(u.Host))
	}
	if u.Dead() {
		return text + ": left running " + u.Why + "; canopy store migrate, or the next crawl, closes it as cut short"
	}
	return fmt.Sprintf("%s: under way, as far as is known; last sign of life %s ago", text, u.Silence.Round(time.Second))
}

package store

import (
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
)

// migrationFiles holds NNN_name.sql, applied in order of NNN and never changed
// once released. A statement ends in a semicolon at the end of a line, and can
// be repeated without harm (IF NOT EXISTS), so that a migration which was
// interrupted, or which two programs begin at once, still ends well.
//
//go:embed migrations/*.sql
var migrationFiles embed.FS

type migration struct {
	version    uint32
	name       string
	checksum   string // SHA-256 of the file, in hex
	statements []string
}

func readMigrations(files fs.FS) ([]migration, error) {
	names, err := fs.Glob(files, "migrations/*.sql")
	if err != nil {
		return nil, fmt.Errorf("list migrations: %w", err)
	}
	var list []migration
	for _, file := range names {
		text, err := fs.ReadFile(files, file)
		if err != nil {
			return nil, fmt.Errorf("read migration: %w", err)
		}
		number, name, _ := strings.Cut(strings.TrimSuffix(path.Base(file), ".sql"), "_")
		version, err := strconv.ParseUint(number, 10, 32)
		if err != nil || int(version) != len(list)+1 {
			return nil, fmt.Errorf("read migration %s: want number %03d", file, len(list)+1)
		}
		sum := sha256.Sum256(text)
		list = append(list, migration{uint32(version), name, hex.EncodeToString(sum[:]), splitStatements(string(text))})
	}
	return list, nil
}

// splitStatements cuts a migration at semicolons that end a line outside of a
// comment.
func splitStatements(text string) []string {
	var statements []string
	var b strings.Builder
	for line := range strings.Lines(text) {
		if strings.HasPrefix(strings.TrimSpace(line), "--") {
			continue
		}
		b.WriteString(line)
		if strings.HasSuffix(strings.TrimSpace(line), ";") {
			statements = append(statements, strings.TrimSuffix(strings.TrimSpace(b.String()), ";"))
			b.Reset()
		}
	}
	return statements
}

func latestVersion(files fs.FS) uint32 {
	names, _ := fs.Glob(files, "migrations/*.sql")
	return uint32(len(names))
}

// Migrate creates the database and brings its schema up to this program's. It
// does nothing on a store that is there already. Then it sends what earlier
// runs have left in the spool, so that nothing overtakes it. Two programs may migrate at
// once: every statement can be repeated and the list of what was applied keeps
// one row per version. It fails on [ErrNewerSchema], and when a migration that
// was applied differs from the one in this program.
func (s *Store) Migrate(ctx context.Context) error {
	list, err := readMigrations(migrationFiles)
	if err != nil {
		return err
	}
	if err := s.migrate(ctx, list); err != nil {
		return fmt.Errorf("migrate store %s: %w", s.target.name, err)
	}
	s.ready.Store(true)
	return s.recover(ctx)
}

// recover sends what earlier runs have left in the spool.
func (s *Store) recover(ctx context.Context) error {
	if s.spool == nil {
		return nil
	}
	if err := s.spool.adopt(); err != nil {
		return err
	}
	if err := s.replay(ctx); err != nil {
		return fmt.Errorf("replay spool %s: %w", s.spool.dir, err)
	}
	return nil
}

const createDatabase = "CREATE DATABASE IF NOT EXISTS "

const migrationsTable = `CREATE TABLE IF NOT EXISTS schema_migrations
(
    version    UInt32,
    name       String,
    checksum   String COMMENT 'SHA-256 of the migration',
    applied_at DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree
ORDER BY version`

func (s *Store) migrate(ctx context.Context, list []migration) error {
	if err := s.admin.Exec(ctx, createDatabase+s.target.database+s.target.onEveryServer()); err != nil {
		return err
	}
	if err := s.change(ctx, migrationsTable); err != nil {
		return err
	}
	applied, err := s.appliedMigrations(ctx)
	if err != nil {
		return err
	}
	for i, have := range applied {
		if i >= len(list) {
			return fmt.Errorf("%w (store %d, program %d)", ErrNewerSchema, len(applied), len(list))
		}
		if want := list[i]; have.version != want.version || have.checksum != want.checksum {
			return fmt.Errorf("migration %03d_%s differs from the one that this store was built with (%s): released migrations must not change", want.version, want.name, have.name)
		}
	}
	for _, m := range list[len(applied):] {
		if err := s.apply(ctx, m); err != nil {
			return fmt.Errorf("apply %03d_%s: %w", m.version, m.name, err)
		}
		s.opt.Logger.Info("store migrated", "version", m.version, "name", m.name)
	}
	return nil
}

func (s *Store) apply(ctx context.Context, m migration) error {
	for _, statement := range m.statements {
		if err := s.change(ctx, statement); err != nil {
			return err
		}
	}
	return s.conn.Exec(ctx, "INSERT INTO schema_migrations (version, name, checksum, applied_at) SELECT ?, ?, ?, now64(3, 'UTC')",
		m.version, m.name, m.checksum)
}

// change runs one statement of the schema, on every server of a cluster.
func (s *Store) change(ctx context.Context, statement string) error {
	all, err := s.target.onCluster(statement)
	if err != nil {
		return err
	}
	for _, one := range all {
		if err := s.conn.Exec(ctx, one); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) appliedMigrations(ctx context.Context) ([]migration, error) {
	rows, err := s.conn.Query(ctx, "SELECT version, name, checksum FROM schema_migrations FINAL ORDER BY version")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []migration
	for rows.Next() {
		var m migration
		if err := rows.Scan(&m.version, &m.name, &m.checksum); err != nil {
			return nil, err
		}
		list = append(list, m)
	}
	return list, rows.Err()
}

// schemaVersion is the number of the last migration applied, 0 if there is no
// schema.
func (s *Store) schemaVersion(ctx context.Context) (uint32, error) {
	var tables uint64
	if err := s.admin.QueryRow(ctx, "SELECT count() FROM system.tables WHERE database = ? AND name = 'schema_migrations'", s.target.database).Scan(&tables); err != nil {
		return 0, fmt.Errorf("read schema version: %w", err)
	}
	if tables == 0 {
		return 0, nil
	}
	applied, err := s.appliedMigrations(ctx)
	if err != nil {
		return 0, fmt.Errorf("read schema version: %w", err)
	}
	if len(applied) == 0 {
		return 0, nil
	}
	return slices.MaxFunc(applied, func(a, b migration) int { return int(a.version) - int(b.version) }).version, nil
}

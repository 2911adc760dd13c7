package store

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const oldServerConfig = `<yandex>
<logger><level>error</level><console>1</console></logger>
<http_port>%s</http_port><tcp_port>%s</tcp_port><listen_host>127.0.0.1</listen_host>
<path>%[3]s/data/</path><tmp_path>%[3]s/tmp/</tmp_path><users_config>users.xml</users_config>
<default_profile>default</default_profile><default_database>default</default_database><mark_cache_size>5368709</mark_cache_size>
</yandex>`

const oldServerUsers = `<yandex>
<profiles><default></default></profiles>
<users><default><password></password><networks><ip>127.0.0.1</ip></networks><profile>default</profile><quota>default</quota></default></users>
<quotas><default></default></quotas>
</yandex>`

// TestRealOldServer meets the ClickHouse 18.16 that Debian packages, where it
// is installed (apt-get install clickhouse-server).
func TestRealOldServer(t *testing.T) {
	binary, err := exec.LookPath("clickhouse-server")
	if err != nil {
		t.Skip("no clickhouse-server is installed; TestOldServerOverHTTP and TestNativeGreetings act as one")
	}
	dir, overHTTP, native := t.TempDir(), freeAddress(t), freeAddress(t)
	config := fmt.Sprintf(oldServerConfig, portOf(overHTTP), portOf(native), dir)
	if err := errors.Join(os.WriteFile(filepath.Join(dir, "config.xml"), []byte(config), 0o600), os.WriteFile(filepath.Join(dir, "users.xml"), []byte(oldServerUsers), 0o600)); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	server := exec.CommandContext(ctx, binary, "--config-file="+filepath.Join(dir, "config.xml"))
	server.Dir = dir
	var said strings.Builder
	server.Stdout, server.Stderr = &said, &said
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Wait() }()
	defer func() { stop(); <-ended }()
	for _, addr := range []string{overHTTP, native} {
		for !listens(addr) {
			select {
			case err := <-ended:
				ended <- err
				t.Fatalf("clickhouse-server ends: %v\n%s", err, said.String())
			case <-time.After(50 * time.Millisecond):
			}
		}
	}
	for _, url := range []string{
		"http://" + overHTTP + "/canopy", "http://default@" + overHTTP + "/canopy", "clickhouse://" + native + "/canopy", "clickhouse://default@" + native + "/canopy",
	} {
		s, err := Open(t.Context(), url, Options{})
		if err == nil {
			defer s.Close()
			t.Skipf("clickhouse-server is %s, which is not old", s.version)
		}
		if !errors.Is(err, ErrOldServer) || !strings.Contains(err.Error(), "23.8") {
			t.Errorf("Open %s: %v", url, err)
		}
	}
}

func listens(addr string) bool {
	conn, err := net.Dial("tcp", addr)
	if err == nil {
		conn.Close()
	}
	return err == nil
}

func portOf(addr string) string { return addr[strings.LastIndex(addr, ":")+1:] }

package refresh

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"canopy/crawler/observation"
)

// parseNpm unpacks the tables of the npm package.
func parseNpm(r *rows, raw []byte) error {
	r.ext = ".csv"
	files := tar.NewReader(bytes.NewReader(raw))
	found := 0
	for {
		h, err := files.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("the package is damaged or cut short: %w", err)
		}
		switch path.Base(h.Name) {
		case "package.json":
			var p struct{ Version string }
			if err := json.NewDecoder(io.LimitReader(files, 1<<20)).Decode(&p); err != nil {
				return fmt.Errorf("read package.json: %w", err)
			}
			if v := p.Version[strings.LastIndexByte(p.Version, '.')+1:]; len(v) >= 8 {
				r.dated("20060102", v[:8])
			}
		case "asn-ipv4.csv", "asn-ipv6.csv":
			found++
			if _, err := io.Copy(&r.out, io.LimitReader(files, maxFile)); err != nil {
				return fmt.Errorf("the package is damaged or cut short: %w", err)
			}
		}
	}
	if found != 2 {
		return fmt.Errorf("the package holds %d of the files asn-ipv4.csv and asn-ipv6.csv", found)
	}
	r.n = bytes.Count(r.out.Bytes(), []byte{'\n'})
	return nil
}

// checkIntegrity compares with a subresource integrity of SHA-512, as npm gives it.
func checkIntegrity(integrity string, content []byte) error {
	want, ok := strings.CutPrefix(integrity, "sha512-")
	if !ok {
		return fmt.Errorf("the registry gives no SHA-512 checksum, but %q", observation.Text(integrity))
	}
	sum := sha512.Sum512(content)
	if base64.StdEncoding.EncodeToString(sum[:]) != want {
		return errors.New("wrong checksum: the file is not the one that the registry describes")
	}
	return nil
}

// unpacked undoes gzip, if raw is packed by it.
func unpacked(raw []byte) ([]byte, error) {
	if !bytes.HasPrefix(raw, []byte{0x1f, 0x8b}) {
		return raw, nil
	}
	z, err := gzip.NewReader(bytes.NewReader(raw))
	if err != nil {
		return nil, fmt.Errorf("unpack: %w", err)
	}
	out, err := io.ReadAll(io.LimitReader(z, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("unpack: the file is damaged or cut short: %w", err)
	}
	if len(out) > maxFile {
		return nil, fmt.Errorf("unpack: the file is larger than %d MiB", maxFile>>20)
	}
	return out, nil
}

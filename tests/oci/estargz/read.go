// Reads layers with stargz-snapshotter's own package, for tests/oci/test_estargz.py.
//
// Arguments: pairs of a layer's file and the digest of its table of contents. The table must have that
// digest, and every chunk of every file must have the digest that the table gives it. Standard output:
// one line of JSON for each layer, from path to what the table says and the SHA-256 of what was read.
package main

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path"

	"github.com/containerd/stargz-snapshotter/estargz"
	digest "github.com/opencontainers/go-digest"
)

type entry struct {
	Type   string `json:"type"`
	Mode   int64  `json:"mode"`
	Time   int64  `json:"time"`
	Size   int64  `json:"size"`
	Target string `json:"target"`
	Sha256 string `json:"sha256"`
}

func main() {
	for i := 1; i+1 < len(os.Args); i += 2 {
		found, err := read(os.Args[i], os.Args[i+1])
		if err == nil {
			err = json.NewEncoder(os.Stdout).Encode(found)
		}
		if err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n", os.Args[i], err)
			os.Exit(1)
		}
	}
}

func read(file, table string) (map[string]entry, error) {
	stream, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer stream.Close()
	status, err := stream.Stat()
	if err != nil {
		return nil, err
	}
	reader, err := estargz.Open(io.NewSectionReader(stream, 0, status.Size()))
	if err != nil {
		return nil, err
	}
	verifier, err := reader.VerifyTOC(digest.Digest(table))
	if err != nil {
		return nil, err
	}
	root, ok := reader.Lookup("")
	if !ok {
		return nil, fmt.Errorf("no root")
	}
	found := map[string]entry{}
	return found, walk(reader, verifier, root, "", found)
}

func walk(reader *estargz.Reader, verifier estargz.TOCEntryVerifier, directory *estargz.TOCEntry, at string, found map[string]entry) (err error) {
	directory.ForeachChild(func(name string, one *estargz.TOCEntry) bool {
		where := path.Join(at, name)
		told := entry{Type: one.Type, Mode: one.Mode, Time: one.ModTime().Unix(), Size: one.Size, Target: one.LinkName}
		switch one.Type {
		case "dir":
			err = walk(reader, verifier, one, where, found)
		case "reg":
			told.Sha256, err = content(reader, verifier, where, one)
		}
		found[where] = told
		return err == nil
	})
	return err
}

func content(reader *estargz.Reader, verifier estargz.TOCEntryVerifier, where string, one *estargz.TOCEntry) (string, error) {
	stream, err := reader.OpenFile(where)
	if err != nil {
		return "", err
	}
	whole := sha256.New()
	for at := int64(0); at < one.Size; {
		chunk, ok := reader.ChunkEntryForOffset(where, at)
		if !ok || chunk.ChunkOffset != at {
			return "", fmt.Errorf("%s: no chunk at %d", where, at)
		}
		check, err := verifier.Verifier(chunk)
		if err != nil {
			return "", err
		}
		data := make([]byte, chunk.ChunkSize)
		if _, err := stream.ReadAt(data, at); err != nil {
			return "", fmt.Errorf("%s: %w", where, err)
		}
		if check.Write(data); !check.Verified() {
			return "", fmt.Errorf("%s: the chunk at %d has another digest", where, at)
		}
		whole.Write(data)
		at += chunk.ChunkSize
	}
	told := fmt.Sprintf("sha256:%x", whole.Sum(nil))
	if told != one.Digest {
		return "", fmt.Errorf("%s: has digest %s, not %s", where, told, one.Digest)
	}
	return told, nil
}

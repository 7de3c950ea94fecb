// The stargz snapshotter as a plugin of containerd: Debian ships its packages without the program.
//
// Arguments: the directory in which it may work and the socket on which it answers. Registries on this
// machine are asked over plain HTTP.
package main

import (
	"context"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"

	snapshots "github.com/containerd/containerd/api/services/snapshots/v1"
	"github.com/containerd/containerd/contrib/snapshotservice"
	"github.com/containerd/containerd/reference"
	"github.com/containerd/containerd/remotes/docker"
	"github.com/containerd/stargz-snapshotter/fs"
	"github.com/containerd/stargz-snapshotter/fs/config"
	"github.com/containerd/stargz-snapshotter/fs/source"
	"github.com/containerd/stargz-snapshotter/snapshot"
	"google.golang.org/grpc"
)

func main() {
	root, socket := os.Args[1], os.Args[2]
	hosts := docker.ConfigureDefaultRegistries(docker.WithPlainHTTP(docker.MatchLocalhost), docker.WithClient(&http.Client{Transport: http.DefaultTransport}))
	sources := source.FromDefaultLabels(func(named reference.Spec) ([]docker.RegistryHost, error) {
		return hosts(named.Hostname())
	})
	layers, err := fs.NewFilesystem(filepath.Join(root, "stargz"), config.Config{NoBackgroundFetch: true}, fs.WithGetSources(sources))
	if err != nil {
		log.Fatal(err)
	}
	snapshotter, err := snapshot.NewSnapshotter(context.Background(), filepath.Join(root, "snapshotter"), layers)
	if err != nil {
		log.Fatal(err)
	}
	listener, err := net.Listen("unix", socket)
	if err != nil {
		log.Fatal(err)
	}
	server := grpc.NewServer()
	snapshots.RegisterSnapshotsServer(server, snapshotservice.FromSnapshotter(snapshotter))
	log.Fatal(server.Serve(listener))
}

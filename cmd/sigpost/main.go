// Command sigpost receives, verifies, keeps and forwards signed webhooks.
package main

import (
	"context"
	"os"

	"github.com/sigpost/sigpost/internal/cli"
)

// version is set when a release is built.
var version = "dev"

func main() {
	os.Exit(cli.Run(context.Background(), version, os.Args[1:], os.Stdin, os.Stdout, os.Stderr, os.LookupEnv))
}

// Command generate writes the schemas of all that goes over the wire to docs/. Run it from the top of the repository.
package main

import (
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/rutter-run/rutter/events/schema"
)

func main() {
	changed, err := schema.Write("events", "docs")
	if err != nil {
		log.Fatal(err)
	}
	for _, file := range changed {
		fmt.Println(filepath.ToSlash(file))
	}
	if len(changed) == 0 {
		fmt.Fprintln(os.Stderr, "docs/ is as the types say")
	}
}

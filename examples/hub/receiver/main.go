// Receiver prints the events of a webhook, for the walk in the README of the hub. It checks the signature of each
// request with the secret that the hub has shown when the webhook was created:
//
//	go run ./examples/hub/receiver -addr 127.0.0.1:9000 -secret-file webhook.secret
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/notification/webhook"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:9000", "Listen on this `address`.")
	file := flag.String("secret-file", "", "Read the secret of the webhook from this `file`. It is read for each "+
		"request, so it may be written later. Required.")
	flag.Parse()
	events := &receiver{file: *file, out: os.Stdout}
	server := &http.Server{Addr: *addr, Handler: events, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: time.Minute,
		WriteTimeout: time.Minute, IdleTimeout: time.Minute, DisableGeneralOptionsHandler: true}
	log.Fatal(server.ListenAndServe())
}

// receiver prints events.
type receiver struct {
	file string // of the secret
	out  io.Writer
}

// ServeHTTP prints the events of a request. A receiver of your own stores them before it answers.
func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := r.read(req)
	if err != nil {
		log.Print("refused: ", err)
		http.Error(w, err.Error(), http.StatusUnauthorized)
		return
	}
	var message struct{ Events []notification.Event }
	if err := json.Unmarshal(body, &message); err != nil {
		log.Print("the format of the webhook must be json: ", err)
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	for _, e := range message.Events {
		fmt.Fprintf(r.out, "%s of %s %s by %s: tags %v\n", e.Action, e.Kind, e.Repository, e.Actor, e.Tags)
	}
	w.WriteHeader(http.StatusNoContent)
}

// read returns the body of a request with a valid signature.
func (r *receiver) read(req *http.Request) ([]byte, error) {
	secret, err := os.ReadFile(r.file)
	if err != nil {
		return nil, err
	}
	verify, err := webhook.NewVerifier([]auth.Secret{auth.Secret(strings.TrimSpace(string(secret)))}, nil)
	if err != nil {
		return nil, err
	}
	return verify.Read(req)
}

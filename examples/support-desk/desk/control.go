package desk

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"

	"github.com/signalbox-dev/signalbox/examples/serve"
	"github.com/signalbox-dev/signalbox/examples/support-desk/faults"
)

// Control gives the handler of the control endpoint, plain HTTP and JSON, meant for a listener of its
// own on loopback: GET and POST and DELETE /faults, GET /journal, GET /stats, POST /reset, GET /healthz.
func (d *Desk) Control() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		if d.cfg.Shop.Empty() {
			http.Error(w, "the shop holds no data", http.StatusServiceUnavailable)
			return
		}
		serve.JSON(w, http.StatusOK, map[string]string{"status": "ok"})
	})
	mux.HandleFunc("GET /stats", func(w http.ResponseWriter, _ *http.Request) { serve.JSON(w, http.StatusOK, d.Stats()) })
	mux.HandleFunc("GET /journal", d.getJournal)
	mux.HandleFunc("GET /faults", func(w http.ResponseWriter, _ *http.Request) {
		serve.JSON(w, http.StatusOK, map[string]any{"faults": d.cfg.Faults.Rules()})
	})
	mux.HandleFunc("POST /faults", d.postFaults)
	mux.HandleFunc("DELETE /faults", d.deleteFaults)
	mux.HandleFunc("POST /reset", d.postReset)
	return serve.Local(mux)
}

func (d *Desk) failed(w http.ResponseWriter, err error) {
	d.cfg.Log.Error("control request failed", "error", err)
	http.Error(w, "the desk failed; its log says why", http.StatusInternalServerError)
}

func (d *Desk) getJournal(w http.ResponseWriter, r *http.Request) {
	after, err := queryNumber(r, "after")
	limit, err2 := queryNumber(r, "limit")
	if err != nil || err2 != nil {
		http.Error(w, "after and limit must be whole numbers, 0 or more", http.StatusBadRequest)
		return
	}
	entries, err := d.cfg.Shop.Journal(after, int(limit))
	if err != nil {
		d.failed(w, err)
		return
	}
	serve.JSON(w, http.StatusOK, map[string]any{"entries": entries})
}

func queryNumber(r *http.Request, name string) (int64, error) {
	value := r.URL.Query().Get(name)
	if value == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(value, 10, 32)
	if err == nil && n < 0 {
		err = fmt.Errorf("%s is negative", name)
	}
	return n, err
}

// postFaults arms one rule, or each of a list.
func (d *Desk) postFaults(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		http.Error(w, "the request is too large", http.StatusRequestEntityTooLarge)
		return
	}
	if body = bytes.TrimSpace(body); !bytes.HasPrefix(body, []byte("[")) {
		body = append(append([]byte("["), body...), ']')
	}
	var rules []faults.Rule
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&rules); err != nil {
		http.Error(w, "not a fault rule: "+err.Error(), http.StatusBadRequest)
		return
	}
	for _, rule := range rules {
		if err := rule.Check(); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
	}
	armed := make([]faults.Rule, len(rules))
	for i, rule := range rules {
		if armed[i], err = d.cfg.Faults.Rearm(rule); err != nil {
			d.failed(w, err)
			return
		}
	}
	serve.JSON(w, http.StatusCreated, map[string]any{"faults": armed})
}

// deleteFaults disarms the rule of ?id=, or all.
func (d *Desk) deleteFaults(w http.ResponseWriter, r *http.Request) {
	n, err := d.cfg.Faults.Disarm(r.URL.Query().Get("id"))
	if err != nil {
		d.failed(w, err)
		return
	}
	serve.JSON(w, http.StatusOK, map[string]int{"disarmed": n})
}

// postReset puts the shop back to what was loaded.
func (d *Desk) postReset(w http.ResponseWriter, _ *http.Request) {
	if err := d.cfg.Shop.Reset(); err != nil {
		d.failed(w, err)
		return
	}
	serve.JSON(w, http.StatusOK, map[string]string{"status": "reset"})
}

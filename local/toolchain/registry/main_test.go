package main

import (
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

type accepting struct{}

func (accepting) RoundTrip(*http.Request) (*http.Response, error) { return &http.Response{}, nil }

func TestPlainHTTPIsOnlyForThisMachine(t *testing.T) {
	for address, allowed := range map[string]bool{
		"http://localhost:5000/v2/":         true,
		"http://127.0.0.1:5000/v2/":         true,
		"http://[::1]:5000/v2/":             true,
		"https://registry.example/v2/":      true,
		"http://registry.example/v2/":       false,
		"http://10.0.0.1:5000/v2/":          false,
		"http://registry.local/v2/":         false,
		"http://localhost.example:5000/v2/": false,
	} {
		request, err := http.NewRequest(http.MethodGet, address, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := (encrypted{accepting{}}).RoundTrip(request); (err == nil) != allowed {
			t.Errorf("%s: %v", address, err)
		}
	}
}

func TestTheLimitOfALookUpIsNotTheReasonOfAnotherTimeout(t *testing.T) {
	dialer := net.Dialer{Timeout: time.Nanosecond}
	_, err := dialer.Dial("tcp", "127.0.0.1:1")
	if reason := unknown("image", err).Reason; strings.Contains(reason, lookupSeconds.String()) {
		t.Error(reason)
	}
}

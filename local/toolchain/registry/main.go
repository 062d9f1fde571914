// container-registry looks up and copies images of container registries. It is the only client of container registries of this
// project, and prints one JSON object on standard output:
//
//	container-registry digest IMAGE         {"answer": "found", "digest": "sha256:..."} or {"answer": "absent"}
//	container-registry copy SOURCE TARGET   {"answer": "found", "digest": "sha256:..."}
//
// Whatever else happens is {"answer": "unknown", "where": ..., "reason": ...}, and never "absent". With --account, standard input
// is {"username": ..., "password": ...}; by default, the credentials of `docker login`, `podman login` or a credential helper are
// used. The library github.com/google/go-containerregistry does the work, as in its command `crane`.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

const (
	connectSeconds = 10 * time.Second
	// The longest time without a byte from a container registry, which may hash a large layer before it answers.
	silentSeconds = 5 * time.Minute
	lookupSeconds = 30 * time.Second
)

type answer struct {
	Answer string `json:"answer"`
	Digest string `json:"digest,omitempty"`
	Where  string `json:"where,omitempty"`
	Reason string `json:"reason,omitempty"`
}

func main() {
	account := flag.Bool("account", false, "read the username and the password from standard input, as JSON")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	keychain := authn.Keychain(authn.NewMultiKeychain(explicitFile{}, authn.DefaultKeychain))
	if *account {
		login := authn.AuthConfig{}
		if err := json.NewDecoder(os.Stdin).Decode(&login); err != nil {
			usage("standard input is not JSON: " + err.Error())
		}
		keychain = oneAccount{authn.FromConfig(login)}
	}
	options := []remote.Option{
		remote.WithAuthFromKeychain(keychain),
		remote.WithTransport(newTransport()),
		remote.WithUserAgent("modelstack"),
	}
	arguments := flag.Args()
	var result answer
	switch {
	case len(arguments) == 2 && arguments[0] == "digest":
		limited, cancel := context.WithTimeout(ctx, lookupSeconds)
		defer cancel()
		result = lookUp(arguments[1], append(options, remote.WithContext(limited)))
		if result.Answer == "unknown" && limited.Err() != nil && ctx.Err() == nil {
			result.Reason = fmt.Sprintf("no complete answer within %s", lookupSeconds)
		}
	case len(arguments) == 3 && arguments[0] == "copy":
		result = copyImage(ctx, arguments[1], arguments[2], append(options, remote.WithContext(ctx)))
	default:
		usage("container-registry [--account] digest IMAGE | copy SOURCE TARGET")
	}
	if err := json.NewEncoder(os.Stdout).Encode(result); err != nil {
		os.Exit(1)
	}
}

func usage(text string) {
	fmt.Fprintln(os.Stderr, text)
	os.Exit(2)
}

// lookUp returns the digest of an image, of an index as well.
func lookUp(image string, options []remote.Option) answer {
	reference, err := name.ParseReference(image, name.StrictValidation)
	if err != nil {
		return unknown(image, err)
	}
	descriptor, err := remote.Head(reference, options...)
	if hasStatus(err, http.StatusNotFound) {
		// The response to HEAD has no body. The one to GET says whether a container registry has sent it.
		_, err = remote.Get(reference, options...)
		if isAbsent(err) {
			return answer{Answer: "absent"}
		}
		if err == nil {
			err = errors.New("the container registry first has no such image, and then has it")
		} else if hasStatus(err, http.StatusNotFound) {
			err = errors.New("404 Not Found, but not from a container registry: the response has no error code of one")
		}
	}
	if err != nil {
		return unknown(image, err)
	}
	if !descriptor.MediaType.IsImage() && !descriptor.MediaType.IsIndex() {
		return unknown(image, fmt.Errorf("the response is not an image but %q", descriptor.MediaType))
	}
	return found(descriptor.Digest)
}

// copyImage copies an image, or an index with all its images, byte for byte. SOURCE and TARGET end with the same digest. Layers
// that the target has in this or another repository are not sent again.
func copyImage(ctx context.Context, source, target string, options []remote.Option) answer {
	from, err := name.NewDigest(source, name.StrictValidation)
	if err != nil {
		return unknown(source, err)
	}
	to, err := name.NewDigest(target, name.StrictValidation)
	if err != nil {
		return unknown(target, err)
	}
	descriptor, err := remote.Get(from, options...)
	if isAbsent(err) {
		err = errors.New("the container registry does not have this image")
	}
	if err != nil {
		return unknown(source, err)
	}
	pusher, err := remote.NewPusher(options...)
	if err == nil {
		err = pusher.Push(ctx, to, descriptor)
	}
	if err != nil {
		return unknown(target, err)
	}
	// A container registry that stored something else under this digest fails here.
	copied, err := remote.Head(to, options...)
	if err != nil {
		return unknown(target, err)
	}
	return found(copied.Digest)
}

func found(digest v1.Hash) answer { return answer{Answer: "found", Digest: digest.String()} }

func unknown(where string, err error) answer {
	reason := strings.Join(strings.Fields(err.Error()), " ")
	var refusal *transport.Error
	if errors.As(err, &refusal) && refusal.StatusCode != 0 {
		reason = fmt.Sprintf("%d %s", refusal.StatusCode, http.StatusText(refusal.StatusCode))
		for _, each := range refusal.Errors {
			reason += fmt.Sprintf(", %s", each)
		}
	}
	return answer{Answer: "unknown", Where: where, Reason: reason}
}

func hasStatus(err error, status int) bool {
	var refusal *transport.Error
	return errors.As(err, &refusal) && refusal.StatusCode == status
}

// isAbsent reports whether a container registry, and not a proxy in front of it, says that it does not have the image.
func isAbsent(err error) bool {
	var refusal *transport.Error
	if !errors.As(err, &refusal) || refusal.StatusCode != http.StatusNotFound {
		return false
	}
	for _, each := range refusal.Errors {
		switch each.Code {
		case transport.ManifestUnknownErrorCode, transport.NameUnknownErrorCode, "NOT_FOUND":
			return true
		}
	}
	return false
}

// newTransport is the library's transport with a limit on silence.
func newTransport() http.RoundTripper {
	dialer := net.Dialer{Timeout: connectSeconds, KeepAlive: 30 * time.Second}
	clone := remote.DefaultTransport.(*http.Transport).Clone()
	clone.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		connection, err := dialer.DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return &impatient{connection}, nil
	}
	return encrypted{clone}
}

// encrypted refuses plain HTTP, except to this machine. The library would also use it in private networks.
type encrypted struct{ http.RoundTripper }

func (e encrypted) RoundTrip(request *http.Request) (*http.Response, error) {
	host := request.URL.Hostname()
	address := net.ParseIP(host)
	if request.URL.Scheme != "https" && host != "localhost" && (address == nil || !address.IsLoopback()) {
		return nil, fmt.Errorf("%s is not asked without encryption", request.URL.Host)
	}
	return e.RoundTripper.RoundTrip(request)
}

// impatient is a connection that fails after silentSeconds without a byte in either direction.
type impatient struct{ net.Conn }

func (c *impatient) Read(content []byte) (int, error) {
	if err := c.SetReadDeadline(time.Now().Add(silentSeconds)); err != nil {
		return 0, err
	}
	return c.Conn.Read(content)
}

func (c *impatient) Write(content []byte) (int, error) {
	// A response to an upload arrives after the upload: while bytes are sent, nobody waits for one.
	if err := c.SetDeadline(time.Now().Add(silentSeconds)); err != nil {
		return 0, err
	}
	return c.Conn.Write(content)
}

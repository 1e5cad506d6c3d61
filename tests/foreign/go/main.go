// Judge in Go: go-spiffe, the reference library, as a caller of the Workload API.
//
//	judge [all]                  every check, as lines of the Test Anything Protocol
//	judge stranger               only that a caller without an entry is refused
//	judge wit                    only the WIT-SVID profile, of an agent that has it on
//	judge serve CLIENT-ID        mTLS server with the SVID "judge"; prints its port, answers one line a connection
//	judge dial PORT SERVER-ID    mTLS client with the SVID "judge"; 0 when server and answer are as expected
//
// The socket is that of SPIFFE_ENDPOINT_SOCKET. The entries are those of ../run.
package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/spiffetls/tlsconfig"
	"github.com/spiffe/go-spiffe/v2/svid/x509svid"
	"github.com/spiffe/go-spiffe/v2/workloadapi"
)

var (
	domain  = spiffeid.RequireTrustDomainFromString("foreign.test")
	partner = spiffeid.RequireTrustDomainFromString("partner.test")
	judge   = spiffeid.RequireFromPath(domain, "/judge")
	second  = spiffeid.RequireFromPath(domain, "/second")
	rotates = spiffeid.RequireFromPath(domain, "/rotates")
)

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "judge:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	switch {
	case len(args) == 0 || args[0] == "all":
		return judgeAll(ctx, checks)
	case args[0] == "stranger":
		return judgeAll(ctx, strangerChecks)
	case args[0] == "wit":
		return judgeAll(ctx, witChecks)
	case args[0] == "serve" && len(args) == 2:
		return serve(ctx, args[1])
	case args[0] == "dial" && len(args) == 3:
		return dial(ctx, args[1], args[2])
	}
	return errors.New("usage: judge [all | stranger | wit | serve CLIENT-ID | dial PORT SERVER-ID]")
}

type check struct {
	name string
	run  func(context.Context, *workloadapi.Client) error
}

func judgeAll(ctx context.Context, checks []check) error {
	client, err := workloadapi.New(ctx)
	if err != nil {
		return err
	}
	defer client.Close()
	fmt.Printf("1..%d\n", len(checks))
	failed := 0
	for at, check := range checks {
		if err := check.run(ctx, client); err != nil {
			failed++
			fmt.Printf("not ok %d - %s: %s\n", at+1, check.name, strings.ReplaceAll(err.Error(), "\n", " "))
			continue
		}
		fmt.Printf("ok %d - %s\n", at+1, check.name)
	}
	if failed > 0 {
		return fmt.Errorf("%d checks failed", failed)
	}
	return nil
}

// source is a live X.509 source that presents the SVID of the given ID.
func source(ctx context.Context, id spiffeid.ID) (*workloadapi.X509Source, error) {
	return workloadapi.NewX509Source(ctx, workloadapi.WithDefaultX509SVIDPicker(func(svids []*x509svid.SVID) *x509svid.SVID {
		for _, svid := range svids {
			if svid.ID == id {
				return svid
			}
		}
		return svids[0]
	}))
}

func serve(ctx context.Context, client string) error {
	id, err := spiffeid.FromString(client)
	if err != nil {
		return err
	}
	source, err := source(ctx, judge)
	if err != nil {
		return err
	}
	defer source.Close()
	config := tlsconfig.MTLSServerConfig(source, source, tlsconfig.AuthorizeID(id))
	listener, err := tls.Listen("tcp", "127.0.0.1:0", config)
	if err != nil {
		return err
	}
	defer listener.Close()
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	for {
		conn, err := listener.Accept()
		if err != nil {
			return err
		}
		go answer(conn.(*tls.Conn))
	}
}

// answer says who the peer is, once the peer has said anything.
func answer(conn *tls.Conn) {
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := bufio.NewReader(conn).ReadString('\n'); err != nil {
		fmt.Fprintln(os.Stderr, "serve:", err)
		return
	}
	id, err := x509svid.IDFromCert(conn.ConnectionState().PeerCertificates[0])
	if err != nil {
		fmt.Fprintln(os.Stderr, "serve:", err)
		return
	}
	fmt.Fprintf(conn, "hello %s\n", id)
}

func dial(ctx context.Context, port, server string) error {
	id, err := spiffeid.FromString(server)
	if err != nil {
		return err
	}
	source, err := source(ctx, judge)
	if err != nil {
		return err
	}
	defer source.Close()
	return greet("127.0.0.1:"+port, tlsconfig.MTLSClientConfig(source, source, tlsconfig.AuthorizeID(id)), judge)
}

// greet connects, and wants to be greeted by its own name.
func greet(address string, config *tls.Config, self spiffeid.ID) error {
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: 10 * time.Second}, "tcp", address, config)
	if err != nil {
		return err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := fmt.Fprintln(conn, "who am I?"); err != nil {
		return err
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		return err
	}
	if want := "hello " + self.String(); strings.TrimSpace(line) != want {
		return fmt.Errorf("the server said %q, not %q", strings.TrimSpace(line), want)
	}
	return nil
}

package main

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"crypto/tls"

	"github.com/spiffe/go-spiffe/v2/proto/spiffe/workload"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/spiffetls/tlsconfig"
	"github.com/spiffe/go-spiffe/v2/svid/jwtsvid"
	"github.com/spiffe/go-spiffe/v2/svid/x509svid"
	"github.com/spiffe/go-spiffe/v2/workloadapi"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	reflectionpb "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"
)

// The numbers are those of docs/spec/requirements.tsv.
var checks = []check{
	{"X.509: every identity of the caller, in the order of the configuration, with hints (WAPI-22 +, WAPI-28 +, WAPI-68 +)", x509svids},
	{"X.509: own and federated bundles, which verify our SVIDs and no other's (WAPI-26 +, WAPI-36 +, X509-66 −)", x509bundles},
	{"X.509: context of SVIDs and bundles together (WAPI-21 +)", x509context},
	{"JWT: one token for each identity, for these audiences (WAPI-42 +/−, JWT-20 +)", jwtsvids},
	{"JWT: a token of the identity asked for, and of no other (WAPI-41 +, WAPI-45 −)", jwtsvidOfOne},
	{"JWT: bundles verify tokens, for their audience alone (WAPI-47 +, JWT-22 −)", jwtbundles},
	{"JWT: the agent validates tokens (WAPI-52 +, WAPI-53 +, WAPI-55 +)", validate},
	{"rotation: a watcher gets new certificates before the old ones expire (WAPI-11 +)", rotation},
	{"mTLS: server and client on two sources meet, and over several rotations", mtls},
	{"mTLS: a peer with another of our identities is refused", mtlsRefuses},
	{"endpoint: all five calls of both profiles are answered (WAPI-01 +/−, WEP-22 +/−)", served},
	{"endpoint: a client with nothing but socket and header is served, without TLS or credential (WEP-09 +/−, WEP-15 +/−)", bare},
	{"endpoint: of each SVID all fields are set (WAPI-23 +/−)", fields},
	{"endpoint: no call without the header, and not with another value (WEP-07 −)", header},
	{"endpoint: the WIT profile is Unimplemented (WAPI-58 +/−)", wit},
	{"endpoint: health and reflection answer without the header (WEP-24 +)", health},
	{"endpoint: mandatory fields are demanded (WAPI-16 −, WAPI-54 −)", mandatory},
}

var strangerChecks = []check{
	{"stranger: every call is PermissionDenied (WAPI-31 +, WAPI-37 +, WAPI-45 +, WAPI-51 +, WEP-19 +)", stranger},
}

func x509svids(ctx context.Context, client *workloadapi.Client) error {
	svids, err := client.FetchX509SVIDs(ctx)
	if err != nil {
		return err
	}
	var got []string
	for _, svid := range svids {
		got = append(got, svid.ID.Path()+" "+svid.Hint)
	}
	if got, want := strings.Join(got, ", "), "/judge judge, /second second, /rotates rotates"; got != want {
		return fmt.Errorf("got %q, not %q", got, want)
	}
	if names := svids[1].Certificates[0].DNSNames; len(names) != 1 || names[0] != "second.internal" {
		return fmt.Errorf("DNS names are %q", names)
	}
	first, err := client.FetchX509SVID(ctx)
	if err != nil {
		return err
	}
	if first.ID != judge {
		return fmt.Errorf("the default is %s", first.ID)
	}
	return nil
}

func x509bundles(ctx context.Context, client *workloadapi.Client) error {
	bundles, err := client.FetchX509Bundles(ctx)
	if err != nil {
		return err
	}
	own, err := bundles.GetX509BundleForTrustDomain(domain)
	if err != nil {
		return err
	}
	foreign, err := bundles.GetX509BundleForTrustDomain(partner)
	if err != nil {
		return err
	}
	svid, err := client.FetchX509SVID(ctx)
	if err != nil {
		return err
	}
	id, _, err := x509svid.Verify(svid.Certificates, own)
	if err != nil {
		return err
	}
	if id != judge {
		return fmt.Errorf("verified as %s", id)
	}
	pool := x509.NewCertPool()
	for _, authority := range foreign.X509Authorities() {
		pool.AddCert(authority)
	}
	if _, err := svid.Certificates[0].Verify(x509.VerifyOptions{Roots: pool}); err == nil {
		return errors.New("the partner's authorities verify our SVID")
	}
	return nil
}

func x509context(ctx context.Context, client *workloadapi.Client) error {
	context, err := client.FetchX509Context(ctx)
	if err != nil {
		return err
	}
	for _, svid := range context.SVIDs {
		if _, _, err := x509svid.Verify(svid.Certificates, context.Bundles); err != nil {
			return err
		}
	}
	if !context.Bundles.Has(partner) {
		return errors.New("the partner's bundle is missing")
	}
	return nil
}

func jwtsvids(ctx context.Context, client *workloadapi.Client) error {
	svids, err := client.FetchJWTSVIDs(ctx, jwtsvid.Params{Audience: "first", ExtraAudiences: []string{"other"}})
	if err != nil {
		return err
	}
	if len(svids) != 3 {
		return fmt.Errorf("%d tokens for three identities", len(svids))
	}
	for at, id := range []spiffeid.ID{judge, second, rotates} {
		if svids[at].ID != id {
			return fmt.Errorf("token %d is for %s", at, svids[at].ID)
		}
		if got := strings.Join(svids[at].Audience, " "); got != "first other" {
			return fmt.Errorf("audiences are %q", got)
		}
		for _, claim := range []string{"jti", "iat", "exp", "iss"} {
			if _, there := svids[at].Claims[claim]; !there {
				return fmt.Errorf("no claim %s", claim)
			}
		}
		if life := time.Until(svids[at].Expiry); life <= 0 || life > 5*time.Minute+time.Second {
			return fmt.Errorf("expires in %s", life)
		}
	}
	return nil
}

func jwtsvidOfOne(ctx context.Context, client *workloadapi.Client) error {
	svids, err := client.FetchJWTSVIDs(ctx, jwtsvid.Params{Audience: "a", Subject: second})
	if err != nil {
		return err
	}
	if len(svids) != 1 || svids[0].ID != second || svids[0].Hint != "second" {
		return fmt.Errorf("got %d tokens, the first for %s", len(svids), svids[0].ID)
	}
	_, err = client.FetchJWTSVIDs(ctx, jwtsvid.Params{Audience: "a", Subject: spiffeid.RequireFromPath(domain, "/nobody")})
	return wantCode(err, codes.PermissionDenied)
}

func jwtbundles(ctx context.Context, client *workloadapi.Client) error {
	bundles, err := client.FetchJWTBundles(ctx)
	if err != nil {
		return err
	}
	if !bundles.Has(domain) || !bundles.Has(partner) {
		return fmt.Errorf("%d bundles", bundles.Len())
	}
	token, err := client.FetchJWTSVID(ctx, jwtsvid.Params{Audience: "a"})
	if err != nil {
		return err
	}
	svid, err := jwtsvid.ParseAndValidate(token.Marshal(), bundles, []string{"a"})
	if err != nil {
		return err
	}
	if svid.ID != judge {
		return fmt.Errorf("the token is for %s", svid.ID)
	}
	if _, err := jwtsvid.ParseAndValidate(token.Marshal(), bundles, []string{"A"}); err == nil {
		return errors.New("accepted for another audience")
	}
	return nil
}

func validate(ctx context.Context, client *workloadapi.Client) error {
	token, err := client.FetchJWTSVID(ctx, jwtsvid.Params{Audience: "a"})
	if err != nil {
		return err
	}
	svid, err := client.ValidateJWTSVID(ctx, token.Marshal(), "a")
	if err != nil {
		return err
	}
	if svid.ID != judge || svid.Claims["sub"] != judge.String() {
		return fmt.Errorf("validated as %s", svid.ID)
	}
	if _, err := client.ValidateJWTSVID(ctx, token.Marshal(), "b"); status.Code(err) != codes.InvalidArgument {
		return fmt.Errorf("another audience: %w", wantCode(err, codes.InvalidArgument))
	}
	forged := []byte(token.Marshal())
	forged[len(forged)-10] ^= 1
	_, err = client.ValidateJWTSVID(ctx, string(forged), "a")
	return wantCode(err, codes.InvalidArgument)
}

// rotation watches until the SVID of a few seconds has been replaced three times.
func rotation(ctx context.Context, client *workloadapi.Client) error {
	ctx, cancel := context.WithTimeout(ctx, 40*time.Second)
	defer cancel()
	watcher := &watcher{enough: 3, done: cancel}
	err := client.WatchX509Context(ctx, watcher)
	watcher.Lock()
	defer watcher.Unlock()
	if watcher.fault != nil {
		return watcher.fault
	}
	if watcher.seen <= watcher.enough {
		return fmt.Errorf("%d certificates seen: %w", watcher.seen, err)
	}
	return nil
}

type watcher struct {
	sync.Mutex
	enough, seen int
	last         *x509.Certificate
	fault        error
	done         func()
}

func (w *watcher) OnX509ContextUpdate(update *workloadapi.X509Context) {
	w.Lock()
	defer w.Unlock()
	now := time.Now()
	for _, svid := range update.SVIDs {
		if _, _, err := x509svid.Verify(svid.Certificates, update.Bundles); err != nil {
			w.fail(err)
		}
		if svid.ID != rotates {
			continue
		}
		leaf := svid.Certificates[0]
		if w.last != nil && bytes.Equal(w.last.Raw, leaf.Raw) {
			continue
		}
		if w.last != nil && now.After(w.last.NotAfter) {
			w.fail(fmt.Errorf("the certificate before had expired %s ago", now.Sub(w.last.NotAfter)))
		}
		w.last = leaf
		w.seen++
	}
	if w.seen > w.enough {
		w.done()
	}
}

func (w *watcher) OnX509ContextWatchError(err error) {
	w.Lock()
	defer w.Unlock()
	if status.Code(err) != codes.Canceled {
		w.fail(err)
	}
}

func (w *watcher) fail(err error) {
	if w.fault == nil {
		w.fault = err
	}
	w.done()
}

func mtls(ctx context.Context, _ *workloadapi.Client) error {
	return meet(ctx, rotates, judge, rotates, judge)
}

func mtlsRefuses(ctx context.Context, _ *workloadapi.Client) error {
	if err := meet(ctx, judge, second, judge, judge); err == nil {
		return errors.New("the server accepted a client that it does not expect")
	}
	if err := meet(ctx, judge, second, second, second); err == nil {
		return errors.New("the client accepted a server that it does not expect")
	}
	return nil
}

// meet connects three times in three seconds: `server` expects `wantsClient`, `client` expects `wantsServer`.
func meet(ctx context.Context, server, client, wantsServer, wantsClient spiffeid.ID) error {
	ours, err := source(ctx, server)
	if err != nil {
		return err
	}
	defer ours.Close()
	theirs, err := source(ctx, client)
	if err != nil {
		return err
	}
	defer theirs.Close()
	listener, err := tls.Listen("tcp", "127.0.0.1:0", tlsconfig.MTLSServerConfig(ours, ours, tlsconfig.AuthorizeID(wantsClient)))
	if err != nil {
		return err
	}
	defer listener.Close()
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go answer(conn.(*tls.Conn))
		}
	}()
	config := tlsconfig.MTLSClientConfig(theirs, theirs, tlsconfig.AuthorizeID(wantsServer))
	for range 3 {
		if err := greet(listener.Addr().String(), config, client); err != nil {
			return err
		}
		time.Sleep(time.Second)
	}
	return nil
}

// raw is a connection without go-spiffe's metadata.
func raw() (*grpc.ClientConn, error) {
	path := strings.TrimPrefix(os.Getenv("SPIFFE_ENDPOINT_SOCKET"), "unix://")
	dialer := func(ctx context.Context, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", path)
	}
	return grpc.NewClient("passthrough:///agent", grpc.WithContextDialer(dialer), grpc.WithTransportCredentials(insecure.NewCredentials()))
}

func header(ctx context.Context, _ *workloadapi.Client) error {
	conn, err := raw()
	if err != nil {
		return err
	}
	defer conn.Close()
	for _, value := range []string{"", "True", "1", "true,true"} {
		ctx := ctx
		for _, one := range strings.Split(value, ",") {
			if one != "" {
				ctx = metadata.AppendToOutgoingContext(ctx, "workload.spiffe.io", one)
			}
		}
		for name, err := range callAll(ctx, conn) {
			if err := wantCode(err, codes.InvalidArgument); err != nil {
				return fmt.Errorf("%s with the header %q: %w", name, value, err)
			}
		}
	}
	return nil
}

// served makes every call of both profiles.
func served(ctx context.Context, _ *workloadapi.Client) error {
	conn, err := raw()
	if err != nil {
		return err
	}
	defer conn.Close()
	ctx = metadata.AppendToOutgoingContext(ctx, "workload.spiffe.io", "true")
	for name, err := range callAll(ctx, conn) {
		want := codes.OK
		if name == "ValidateJWTSVID" {
			// The token is none.
			want = codes.InvalidArgument
		}
		if err := wantCode(err, want); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// bare makes a call with what an ordinary client has: no credential of any kind, and no TLS.
func bare(ctx context.Context, _ *workloadapi.Client) error {
	_, err := fetchX509(ctx)
	return err
}

func fields(ctx context.Context, _ *workloadapi.Client) error {
	response, err := fetchX509(ctx)
	if err != nil {
		return err
	}
	for _, svid := range response.Svids {
		if svid.SpiffeId == "" || len(svid.X509Svid) == 0 || len(svid.X509SvidKey) == 0 || len(svid.Bundle) == 0 {
			return fmt.Errorf("%q lacks a field", svid.SpiffeId)
		}
	}
	return nil
}

// fetchX509 returns the first message for a client with nothing but socket and header.
func fetchX509(ctx context.Context) (*workload.X509SVIDResponse, error) {
	conn, err := raw()
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	ctx = metadata.AppendToOutgoingContext(ctx, "workload.spiffe.io", "true")
	stream, err := workload.NewSpiffeWorkloadAPIClient(conn).FetchX509SVID(ctx, &workload.X509SVIDRequest{})
	if err != nil {
		return nil, err
	}
	return stream.Recv()
}

// callAll makes each call of the two stable profiles once, and returns how each ended.
func callAll(ctx context.Context, conn *grpc.ClientConn) map[string]error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	api := workload.NewSpiffeWorkloadAPIClient(conn)
	ends := map[string]error{}
	x509svid, err := api.FetchX509SVID(ctx, &workload.X509SVIDRequest{})
	if err == nil {
		_, err = x509svid.Recv()
	}
	ends["FetchX509SVID"] = err
	x509bundles, err := api.FetchX509Bundles(ctx, &workload.X509BundlesRequest{})
	if err == nil {
		_, err = x509bundles.Recv()
	}
	ends["FetchX509Bundles"] = err
	jwtbundles, err := api.FetchJWTBundles(ctx, &workload.JWTBundlesRequest{})
	if err == nil {
		_, err = jwtbundles.Recv()
	}
	ends["FetchJWTBundles"] = err
	_, err = api.FetchJWTSVID(ctx, &workload.JWTSVIDRequest{Audience: []string{"a"}})
	ends["FetchJWTSVID"] = err
	_, err = api.ValidateJWTSVID(ctx, &workload.ValidateJWTSVIDRequest{Audience: "a", Svid: "a.b.c"})
	ends["ValidateJWTSVID"] = err
	return ends
}

func wit(ctx context.Context, client *workloadapi.Client) error {
	_, err := client.FetchWITSVID(ctx, "")
	if err := wantCode(err, codes.Unimplemented); err != nil {
		return err
	}
	_, err = client.FetchWITBundles(ctx)
	return wantCode(err, codes.Unimplemented)
}

func health(ctx context.Context, _ *workloadapi.Client) error {
	conn, err := raw()
	if err != nil {
		return err
	}
	defer conn.Close()
	answer, err := healthpb.NewHealthClient(conn).Check(ctx, &healthpb.HealthCheckRequest{})
	if err != nil {
		return err
	}
	if answer.Status != healthpb.HealthCheckResponse_SERVING {
		return fmt.Errorf("health is %s", answer.Status)
	}
	stream, err := reflectionpb.NewServerReflectionClient(conn).ServerReflectionInfo(ctx)
	if err != nil {
		return err
	}
	ask := &reflectionpb.ServerReflectionRequest{MessageRequest: &reflectionpb.ServerReflectionRequest_ListServices{}}
	if err := stream.Send(ask); err != nil {
		return err
	}
	list, err := stream.Recv()
	if err != nil {
		return err
	}
	for _, service := range list.GetListServicesResponse().GetService() {
		if service.Name == "SpiffeWorkloadAPI" {
			return stream.CloseSend()
		}
	}
	return errors.New("reflection does not name SpiffeWorkloadAPI")
}

func mandatory(ctx context.Context, _ *workloadapi.Client) error {
	conn, err := raw()
	if err != nil {
		return err
	}
	defer conn.Close()
	ctx = metadata.AppendToOutgoingContext(ctx, "workload.spiffe.io", "true")
	api := workload.NewSpiffeWorkloadAPIClient(conn)
	for _, request := range []*workload.JWTSVIDRequest{{}, {Audience: []string{""}}, {Audience: []string{"a"}, SpiffeId: "spiffe://td/"}} {
		_, err := api.FetchJWTSVID(ctx, request)
		if err := wantCode(err, codes.InvalidArgument); err != nil {
			return fmt.Errorf("FetchJWTSVID %v: %w", request, err)
		}
	}
	for _, request := range []*workload.ValidateJWTSVIDRequest{{Audience: "a"}, {Svid: "a.b.c"}} {
		_, err := api.ValidateJWTSVID(ctx, request)
		if err := wantCode(err, codes.InvalidArgument); err != nil {
			return fmt.Errorf("ValidateJWTSVID %v: %w", request, err)
		}
	}
	return nil
}

func stranger(ctx context.Context, _ *workloadapi.Client) error {
	conn, err := raw()
	if err != nil {
		return err
	}
	defer conn.Close()
	ctx = metadata.AppendToOutgoingContext(ctx, "workload.spiffe.io", "true")
	for name, err := range callAll(ctx, conn) {
		if err := wantCode(err, codes.PermissionDenied); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

func wantCode(err error, want codes.Code) error {
	if got := status.Code(err); got != want {
		return fmt.Errorf("ended with %s (%v), not %s", got, err, want)
	}
	return nil
}

package main

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"strings"

	"github.com/spiffe/go-spiffe/v2/exp/bundle/witbundle"
	"github.com/spiffe/go-spiffe/v2/exp/svid/witsvid"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/workloadapi"
	"google.golang.org/grpc/codes"
)

// The checks of an agent that was built with the WIT-SVID profile and has it on.
var witChecks = []check{
	{"WIT: one token for each identity, with its key (WAPI-61 +/−, WAPI-62 +)", witSVIDs},
	{"WIT: the token of the identity asked for, and of no other (WAPI-60 +, WAPI-64 −)", witSVIDOfOne},
	{"WIT: bundles verify tokens, of the own trust domain (WAPI-65 +, WAPI-66 +, WIT-41 +)", witBundles},
	{"WIT: keys for WIT-SVIDs are not among those for JWT-SVIDs (WAPI-48 −, WIT-44 +)", witKeysApart},
}

func witSVIDs(ctx context.Context, client *workloadapi.Client) error {
	svids, err := client.FetchWITSVIDs(ctx, "")
	if err != nil {
		return err
	}
	var got []string
	for _, svid := range svids {
		got = append(got, svid.ID.Path()+" "+svid.Hint)
		private, ok := svid.PrivateKey.(crypto.Signer)
		if !ok {
			return fmt.Errorf("the private key is a %T", svid.PrivateKey)
		}
		public, ok := private.Public().(*ecdsa.PublicKey)
		if !ok || !public.Equal(svid.PublicKey) {
			return errors.New("the private key is not that of cnf.jwk")
		}
	}
	if got, want := strings.Join(got, ", "), "/judge judge, /second second, /rotates rotates"; got != want {
		return fmt.Errorf("got %q, not %q", got, want)
	}
	return nil
}

func witSVIDOfOne(ctx context.Context, client *workloadapi.Client) error {
	svid, err := client.FetchWITSVID(ctx, second.String())
	if err != nil {
		return err
	}
	if svid.ID != second {
		return fmt.Errorf("asked for %s, got %s", second, svid.ID)
	}
	_, err = client.FetchWITSVID(ctx, spiffeid.RequireFromPath(domain, "/other").String())
	return wantCode(err, codes.PermissionDenied)
}

func witBundles(ctx context.Context, client *workloadapi.Client) error {
	svid, err := client.FetchWITSVID(ctx, "")
	if err != nil {
		return err
	}
	bundles, err := client.FetchWITBundles(ctx)
	if err != nil {
		return err
	}
	verified, err := witsvid.ParseAndValidate(svid.Marshal(), bundles)
	if err != nil {
		return err
	}
	if verified.ID != judge {
		return fmt.Errorf("verified as %s", verified.ID)
	}
	if _, err := witsvid.ParseAndValidate(svid.Marshal(), witbundle.NewSet()); err == nil {
		return errors.New("a token is valid without a bundle")
	}
	changed := strings.Replace(svid.Marshal(), ".", ".A", 1)
	if _, err := witsvid.ParseAndValidate(changed, bundles); err == nil {
		return errors.New("a token is valid with a change in it")
	}
	return nil
}

func witKeysApart(ctx context.Context, client *workloadapi.Client) error {
	bundles, err := client.FetchWITBundles(ctx)
	if err != nil {
		return err
	}
	wit, err := bundles.GetWITBundleForTrustDomain(domain)
	if err != nil {
		return err
	}
	jwts, err := client.FetchJWTBundles(ctx)
	if err != nil {
		return err
	}
	jwt, err := jwts.GetJWTBundleForTrustDomain(domain)
	if err != nil {
		return err
	}
	if len(wit.WITAuthorities()) == 0 {
		return errors.New("no WIT authorities")
	}
	for name := range wit.WITAuthorities() {
		if jwt.HasJWTAuthority(name) {
			return fmt.Errorf("%s is a JWT authority too", name)
		}
	}
	return nil
}

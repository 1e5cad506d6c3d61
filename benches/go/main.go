// go-spiffe beside our verifier, over the same bytes: the other half of benches/benches/go.rs, which starts this program.
//
// The argument is a folder with what is to be verified. Each line of the input names a piece of work and says how often to do it; the
// answer is the nanoseconds that one took.
package main

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spiffe/go-spiffe/v2/bundle/jwtbundle"
	"github.com/spiffe/go-spiffe/v2/bundle/x509bundle"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/svid/jwtsvid"
	"github.com/spiffe/go-spiffe/v2/svid/x509svid"
)

func main() {
	log.SetFlags(0)
	work := prepare(os.Args[1])
	input := bufio.NewScanner(os.Stdin)
	for input.Scan() {
		name, count, _ := strings.Cut(input.Text(), " ")
		calls, err := strconv.Atoi(count)
		must(err)
		one, known := work[name]
		if !known {
			log.Fatalf("no such work: %q", name)
		}
		start := time.Now()
		for range calls {
			must(one())
		}
		fmt.Println(float64(time.Since(start).Nanoseconds()) / float64(calls))
	}
}

// prepare reads the folder, and returns what can be asked for.
func prepare(folder string) map[string]func() error {
	read := func(name string) []byte {
		bytes, err := os.ReadFile(filepath.Join(folder, name))
		must(err)
		return bytes
	}
	id, token, audience := string(read("id")), string(read("token")), string(read("audience"))
	trustDomain := spiffeid.RequireFromString(id).TrustDomain()

	seconds, err := strconv.ParseInt(string(read("now")), 10, 64)
	must(err)
	now := x509svid.WithTime(time.Unix(seconds, 0))
	chain, err := x509.ParseCertificates(read("chain"))
	must(err)
	root, err := x509.ParseCertificate(read("root"))
	must(err)
	authorities := x509bundle.FromX509Authorities(trustDomain, []*x509.Certificate{root})
	ders := [][]byte{chain[0].Raw, chain[1].Raw}

	jwks := read("jwks")
	keys, err := jwtbundle.Parse(trustDomain, jwks)
	must(err)
	signed, signature := halves(token)
	tokenKey := keyOf(keys, token)

	return map[string]func() error{
		"spiffeid.FromString": func() error {
			_, err := spiffeid.FromString(id)
			return err
		},
		"raw/chain": func() error {
			for at, issuer := range []*x509.Certificate{chain[1], root} {
				digest := sha256.Sum256(chain[at].RawTBSCertificate)
				if !ecdsa.VerifyASN1(issuer.PublicKey.(*ecdsa.PublicKey), digest[:], chain[at].Signature) {
					return fmt.Errorf("signature %d", at)
				}
			}
			return nil
		},
		"x509svid.Verify": func() error {
			_, _, err := x509svid.Verify(chain, authorities, now)
			return err
		},
		"x509svid.ParseAndVerify": func() error {
			_, _, err := x509svid.ParseAndVerify(ders, authorities, now)
			return err
		},
		"raw/token": func() error {
			digest := sha256.Sum256([]byte(signed))
			if !ecdsa.VerifyASN1(tokenKey, digest[:], signature) {
				return fmt.Errorf("signature of the token")
			}
			return nil
		},
		"jwtsvid.ParseAndValidate": func() error {
			_, err := jwtsvid.ParseAndValidate(token, keys, []string{audience})
			return err
		},
		"jwtbundle.Parse": func() error {
			_, err := jwtbundle.Parse(trustDomain, jwks)
			return err
		},
	}
}

// halves returns what the signature of a token is of, and the signature as ecdsa.VerifyASN1 wants it.
func halves(token string) (string, []byte) {
	at := strings.LastIndexByte(token, '.')
	raw, err := base64.RawURLEncoding.DecodeString(token[at+1:])
	must(err)
	number := func(bytes []byte) []byte {
		for len(bytes) > 1 && bytes[0] == 0 {
			bytes = bytes[1:]
		}
		if bytes[0] >= 0x80 {
			bytes = append([]byte{0}, bytes...)
		}
		return append([]byte{2, byte(len(bytes))}, bytes...)
	}
	numbers := append(number(raw[:32]), number(raw[32:])...)
	return token[:at], append([]byte{0x30, byte(len(numbers))}, numbers...)
}

// keyOf returns the key that signed a token.
func keyOf(keys *jwtbundle.Bundle, token string) *ecdsa.PublicKey {
	signed, signature := halves(token)
	digest := sha256.Sum256([]byte(signed))
	for _, key := range keys.JWTAuthorities() {
		if key, is := key.(*ecdsa.PublicKey); is && ecdsa.VerifyASN1(key, digest[:], signature) {
			return key
		}
	}
	log.Fatal("no key of the token")
	return nil
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

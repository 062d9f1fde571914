package main

import (
	"os"

	"github.com/docker/cli/cli/config"
	"github.com/docker/cli/cli/config/types"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
)

// oneAccount is an account that the caller gives. It is for the container registry of the one image that is looked up.
type oneAccount struct{ authenticator authn.Authenticator }

func (o oneAccount) Resolve(authn.Resource) (authn.Authenticator, error) { return o.authenticator, nil }

// explicitFile reads the file that REGISTRY_AUTH_FILE or podman's login names, before docker's. The library's own keychain reads
// it only if docker has no file, but buildah, which pushes the images, reads it first.
type explicitFile struct{}

func (explicitFile) Resolve(target authn.Resource) (authn.Authenticator, error) {
	for _, path := range []string{os.Getenv("REGISTRY_AUTH_FILE"), podmanFile()} {
		found, err := fromFile(path, target)
		if err != nil || found != authn.Anonymous {
			return found, err
		}
	}
	return authn.Anonymous, nil
}

func podmanFile() string {
	if folder := os.Getenv("XDG_RUNTIME_DIR"); folder != "" {
		return folder + "/containers/auth.json"
	}
	return ""
}

func fromFile(path string, target authn.Resource) (authn.Authenticator, error) {
	file, err := os.Open(path)
	if os.IsNotExist(err) {
		return authn.Anonymous, nil
	}
	if err != nil {
		return nil, err
	}
	defer file.Close()
	content, err := config.LoadFromReader(file)
	if err != nil {
		return nil, err
	}
	for _, key := range []string{target.String(), target.RegistryStr()} {
		if key == name.DefaultRegistry {
			key = authn.DefaultAuthKey
		}
		login, err := content.GetAuthConfig(key)
		if err != nil {
			return nil, err
		}
		login.ServerAddress = ""
		if login != (types.AuthConfig{}) {
			return authn.FromConfig(authn.AuthConfig{
				Username:      login.Username,
				Password:      login.Password,
				Auth:          login.Auth,
				IdentityToken: login.IdentityToken,
				RegistryToken: login.RegistryToken,
			}), nil
		}
	}
	return authn.Anonymous, nil
}

package controlplane

import (
	"encoding/json"
	"fmt"
	"os"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"tailwatch.dev/sandbox/world/sandbox"
	"tailwatch.dev/sandbox/world/worlds"
)

// WriteKubeconfig writes the kubeconfig of a user.
func WriteKubeconfig(s *sandbox.Sandbox, file, user string) error {
	login := &clientcmdapi.AuthInfo{ClientCertificate: s.Path("pki", user+".crt"), ClientKey: s.Path("pki", user+".key")}
	return writeKubeconfig(s, file, "sandbox-"+s.Name, user, login)
}

// WriteAdminKubeconfig writes the kubeconfig of `scripts/sandbox env` in the shape that the world's row has.
func WriteAdminKubeconfig(s *sandbox.Sandbox) error {
	if err := WriteKubeconfig(s, "kubeconfig", "admin"); err != nil {
		return err
	}
	shape := s.World.Kubeconfig
	if shape.Exec == nil {
		return nil
	}
	if err := writePlugin(s, *shape.Exec); err != nil {
		return err
	}
	login := &clientcmdapi.AuthInfo{Exec: &clientcmdapi.ExecConfig{
		APIVersion: "client.authentication.k8s.io/v1beta1", Command: shape.Exec.Command, Args: shape.Exec.Arguments,
		InteractiveMode: clientcmdapi.IfAvailableExecInteractiveMode,
	}}
	return writeKubeconfig(s, "kubeconfig", shape.Context, shape.Context, login)
}

func writeKubeconfig(s *sandbox.Sandbox, file, context, user string, login *clientcmdapi.AuthInfo) error {
	config := clientcmdapi.NewConfig()
	config.Clusters["sandbox"] = &clientcmdapi.Cluster{Server: "https://" + s.API(), CertificateAuthority: s.Path("pki", "ca.crt")}
	config.AuthInfos[user] = login
	config.Contexts[context] = &clientcmdapi.Context{Cluster: "sandbox", AuthInfo: user}
	config.CurrentContext = context
	return clientcmd.WriteToFile(*config, s.Path(file))
}

// writePlugin writes the exec plugin on the PATH of `scripts/sandbox env`: it prints a token that the API server accepts.
func writePlugin(s *sandbox.Sandbox, exec worlds.Exec) error {
	credential, err := json.Marshal(map[string]any{
		"apiVersion": "client.authentication.k8s.io/v1beta1", "kind": "ExecCredential", "status": map[string]string{"token": s.Token},
	})
	if err != nil {
		return err
	}
	if err := os.WriteFile(s.Path("pki", "credential.json"), credential, 0o600); err != nil {
		return err
	}
	script := fmt.Sprintf("#!/bin/sh\n[ -n \"$%s\" ] || { echo '%s' >&2; exit 253; }\ncat '%s'\n",
		exec.Requires, exec.Failure, s.Path("pki", "credential.json"))
	return os.WriteFile(s.Path("bin", exec.Command), []byte(script), 0o700)
}

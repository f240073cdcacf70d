package controlplane

import (
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"tailwatch.dev/sandbox/world/sandbox"
)

// WriteKubeconfig writes the kubeconfig of a user.
func WriteKubeconfig(s *sandbox.Sandbox, file, user string) error {
	config := clientcmdapi.NewConfig()
	config.Clusters["sandbox"] = &clientcmdapi.Cluster{
		Server: "https://" + sandbox.Loopback(s.Ports.API), CertificateAuthority: s.Path("pki", "ca.crt"),
	}
	config.AuthInfos[user] = &clientcmdapi.AuthInfo{
		ClientCertificate: s.Path("pki", user+".crt"), ClientKey: s.Path("pki", user+".key"),
	}
	config.Contexts["sandbox-"+s.Name] = &clientcmdapi.Context{Cluster: "sandbox", AuthInfo: user}
	config.CurrentContext = "sandbox-" + s.Name
	return clientcmd.WriteToFile(*config, s.Path(file))
}

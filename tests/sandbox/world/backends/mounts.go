package backends

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	core "k8s.io/api/core/v1"

	"tailwatch.dev/sandbox/world/cluster"
)

// Mounts gives the folder of the sandbox for each path that a container mounts. The folder of a claim is that of its
// volume, which a new pod mounts again; all other folders are the pod's own.
type Mounts map[string]string

// MountVolumes makes the folders of a container's mounts, and writes the files of its ConfigMaps and Secrets.
func MountVolumes(c *cluster.Cluster, v *cluster.Objects, pod *core.Pod, container *core.Container) (Mounts, error) {
	volumes := map[string]core.VolumeSource{}
	for _, volume := range pod.Spec.Volumes {
		volumes[volume.Name] = volume.VolumeSource
	}
	mounts := Mounts{}
	for _, mount := range container.VolumeMounts {
		folder := c.Path("volumes", string(pod.UID), mount.Name)
		source := volumes[mount.Name]
		if source.PersistentVolumeClaim != nil {
			claim, err := v.Claims.PersistentVolumeClaims(pod.Namespace).Get(source.PersistentVolumeClaim.ClaimName)
			if err != nil {
				return nil, err
			}
			folder = c.Path("volumes", claim.Spec.VolumeName)
		}
		folder = filepath.Join(folder, mount.SubPath)
		if err := os.MkdirAll(folder, 0o700); err != nil {
			return nil, err
		}
		mounts[mount.MountPath] = folder
		files, err := mountedFiles(v, pod.Namespace, source)
		if err != nil {
			return nil, err
		}
		for file, content := range files {
			if err := os.WriteFile(filepath.Join(folder, file), content, 0o600); err != nil {
				return nil, err
			}
		}
	}
	return mounts, nil
}

// mountedFiles are those of a ConfigMap or Secret.
func mountedFiles(v *cluster.Objects, namespace string, source core.VolumeSource) (map[string][]byte, error) {
	files := map[string][]byte{}
	switch {
	case source.ConfigMap != nil:
		config, err := v.ConfigMaps.ConfigMaps(namespace).Get(source.ConfigMap.Name)
		if err != nil {
			return nil, err
		}
		for file, text := range config.Data {
			files[file] = []byte(text)
		}
	case source.Secret != nil:
		secret, err := v.Secrets.Secrets(namespace).Get(source.Secret.SecretName)
		if err != nil {
			if source.Secret.Optional != nil && *source.Secret.Optional {
				return files, nil
			}
			return nil, err
		}
		return secret.Data, nil
	}
	return files, nil
}

// Path is the file of the sandbox for a path in the container. Elsewhere its root file system is read-only.
func (m Mounts) Path(path string) (string, error) {
	for at := path; ; at = filepath.Dir(at) {
		if folder, ok := m[at]; ok {
			return folder + strings.TrimPrefix(path, at), nil
		}
		if at == "/" || at == "." {
			return "", fmt.Errorf("%s: read-only file system", path)
		}
	}
}

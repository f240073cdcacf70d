package cluster

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"

	core "k8s.io/api/core/v1"
)

// MountedVersions are the resourceVersions of the ConfigMaps and Secrets that a pod mounts.
func (v *Objects) MountedVersions(pod *core.Pod) string {
	versions := string(pod.UID)
	for _, volume := range pod.Spec.Volumes {
		if volume.ConfigMap != nil {
			if config, err := v.ConfigMaps.ConfigMaps(pod.Namespace).Get(volume.ConfigMap.Name); err == nil {
				versions += " " + config.ResourceVersion
			}
		}
		if volume.Secret != nil {
			if secret, err := v.Secrets.Secrets(pod.Namespace).Get(volume.Secret.SecretName); err == nil {
				versions += " " + secret.ResourceVersion
			}
		}
	}
	return versions
}

// MountedConfig reads a key of the ConfigMap that a pod mounts.
func (v *Objects) MountedConfig(pod *core.Pod, key string) (string, bool) {
	for _, volume := range pod.Spec.Volumes {
		if volume.ConfigMap == nil {
			continue
		}
		if config, err := v.ConfigMaps.ConfigMaps(pod.Namespace).Get(volume.ConfigMap.Name); err == nil {
			if text, ok := config.Data[key]; ok {
				return text, true
			}
		}
	}
	return "", false
}

// MountedGzip reads a key of the Secrets that a pod mounts: empty if none has it.
func (v *Objects) MountedGzip(pod *core.Pod, key string) string {
	for _, volume := range pod.Spec.Volumes {
		if volume.Secret == nil {
			continue
		}
		secret, err := v.Secrets.Secrets(pod.Namespace).Get(volume.Secret.SecretName)
		if err != nil || secret.Data[key] == nil {
			continue
		}
		if unpacked, err := gzip.NewReader(bytes.NewReader(secret.Data[key])); err == nil {
			text, _ := io.ReadAll(unpacked)
			return string(text)
		}
	}
	return ""
}

// EnvValue is the value of a variable of a pod's container.
func (v *Objects) EnvValue(pod *core.Pod, variable core.EnvVar) (string, error) {
	if variable.ValueFrom == nil || variable.ValueFrom.SecretKeyRef == nil {
		return variable.Value, nil
	}
	from := variable.ValueFrom.SecretKeyRef
	secret, err := v.Secrets.Secrets(pod.Namespace).Get(from.Name)
	if err != nil {
		return "", err
	}
	value, ok := secret.Data[from.Key]
	if !ok {
		return "", fmt.Errorf("Secret %s has no key %s", from.Name, from.Key)
	}
	return string(value), nil
}

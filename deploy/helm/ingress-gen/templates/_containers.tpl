{{- define "gen.security" -}}
allowPrivilegeEscalation: false
capabilities:
  drop: [ALL]
readOnlyRootFilesystem: true
{{- end }}

{{- /* How gen reaches the proxy. */}}
{{- define "gen.reach" -}}
{{- if eq .Values.proxy "nginx" -}}
--proxy-pid-file=/run/gen/nginx.pid
{{- else if eq .Values.proxy "haproxy" -}}
--proxy-socket=/run/gen/master.sock
{{- else -}}
--proxy-socket=unix:/run/gen/xds.sock
{{- end }}
{{- end }}

{{- /* What starts the proxy. */}}
{{- define "gen.start" -}}
{{- if not .Values.nativeSidecar -}}
until test -e /var/lib/gen/current; do sleep 0.2; done;
{{ end }}
{{- if eq .Values.proxy "nginx" -}}
rm -f /run/gen/nginx.sock;
exec nginx -e stderr -p /run/gen -c /var/lib/gen/current/nginx.conf -g 'daemon off;'
{{- else if eq .Values.proxy "haproxy" -}}
exec haproxy -W -db -p /run/gen/haproxy.pid -S /run/gen/master.sock,mode,600
-f /var/lib/gen/current
{{- else -}}
rm -f /run/gen/envoy-admin.sock;
exec envoy -c /var/lib/gen/bootstrap.json --disable-hot-restart --drain-time-s 30 --concurrency 2 -l warning
{{- end }}
{{- end }}

{{- /* What lets it end its requests. */}}
{{- define "gen.stop" -}}
{{- if eq .Values.proxy "nginx" -}}
sleep 10; kill -QUIT "$(cat /run/gen/nginx.pid)"; sleep 45
{{- else if eq .Values.proxy "haproxy" -}}
sleep 10; kill -USR1 "$(cat /run/gen/haproxy.pid)"; sleep 45
{{- else -}}
sleep 10;
python3 -c 'import pathlib; from backends.envoy import admin;
admin.drain(pathlib.Path("/run/gen/envoy-admin.sock"))';
sleep 30
{{- end }}
{{- end }}

{{- define "gen.sidecar" -}}
name: gen
image: {{ include "gen.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
{{- if .Values.nativeSidecar }}
restartPolicy: Always
{{- end }}
args:
- run
- --backend={{ .Values.proxy }}
- --proxy=external
- {{ include "gen.reach" . }}
- --state-dir=/var/lib/gen
- --runtime-dir=/run/gen
- --http-port={{ .Values.ports.http }}
- --https-port={{ .Values.ports.https }}
- --admin=:{{ .Values.ports.admin }}
env:
- name: POD_NAME
  valueFrom:
    fieldRef:
      fieldPath: metadata.name
- name: POD_NAMESPACE
  valueFrom:
    fieldRef:
      fieldPath: metadata.namespace
envFrom:
- configMapRef:
    name: {{ include "gen.name" . }}
ports:
- name: admin
  containerPort: {{ .Values.ports.admin }}
startupProbe:
  exec:
    command: [test, -e, /var/lib/gen/current]
  periodSeconds: 1
  failureThreshold: 600
livenessProbe:
  httpGet:
    path: /healthz
    port: {{ .Values.ports.admin }}
  timeoutSeconds: 5
readinessProbe:
  httpGet:
    path: /readyz
    port: {{ .Values.ports.admin }}
  periodSeconds: 5
  timeoutSeconds: 5
resources:
  {{- toYaml .Values.resources.gen | nindent 2 }}
securityContext:
  {{- include "gen.security" . | nindent 2 }}
volumeMounts:
- name: state
  mountPath: /var/lib/gen
- name: run
  mountPath: /run/gen
- name: token
  mountPath: /var/run/secrets/kubernetes.io/serviceaccount
  readOnly: true
{{- end }}

{{- define "gen.proxy" -}}
name: {{ .Values.proxy }}
image: {{ include "gen.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
command:
- sh
- -c
- {{ include "gen.start" . | replace "\n" " " | quote }}
lifecycle:
  preStop:
    exec:
      # First the endpoints of the Service have to forget this pod, then requests have to end.
      command:
      - sh
      - -c
      - {{ include "gen.stop" . | replace "\n" " " | quote }}
ports:
- name: http
  containerPort: {{ .Values.ports.http }}
- name: https
  containerPort: {{ .Values.ports.https }}
readinessProbe:
  tcpSocket:
    port: {{ .Values.ports.http }}
  periodSeconds: 5
resources:
  {{- toYaml .Values.resources.proxy | nindent 2 }}
securityContext:
  {{- include "gen.security" . | nindent 2 }}
volumeMounts:
- name: state
  mountPath: /var/lib/gen
  readOnly: true
- name: run
  mountPath: /run/gen
{{- end }}

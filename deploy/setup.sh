#!/usr/bin/env bash
# Brings a checkout to a working state: Python 3.11 environment, Horovod, Delta's jars. Safe to interrupt and to repeat.
# `setup.sh text` installs the optional extra too; once there, it stays.
#
# Mirrors: pip's settings (PIP_INDEX_URL, pip.conf), uv's (UV_DEFAULT_INDEX, uv.toml) and Ivy's ($IVY_SETTINGS or
# ~/.ivy2/ivysettings.xml) are the places for a company's own addresses. RECSYS_CACHE moves the cache folder.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(dirname "$here")
venv=$root/.venv
cache=${RECSYS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/recsys}
state=$venv/.setup-state
say() { printf '[setup] %s\n' "$*" >&2; }
stop() { printf '[setup] stopped: %s\n' "$*" >&2; exit 2; }
# Else the step that was interrupted would count as one that failed, and those that may fail be gone without for good.
trap 'say "interrupted; started again, it goes on"; exit 130' INT

# What the environment is made from. Equal to the last finished set-up: nothing to do.
locks=("$here/requirements.lock")
has_text=$venv/.has-text
if [ "${1:-}" = text ] || [ -e "$has_text" ]; then locks+=("$here/text.lock"); fi
wanted=$(cat "$here"/*.lock "$here"/*.sh "$here/jars.sha256" <(echo "$root" "${locks[@]}") | sha256sum | cut -c1-32)
java_works() { "${JAVA_HOME:+$JAVA_HOME/bin/}java" -version 2>&1 | grep -qE 'version "(1[7-9]|2[0-9])'; }
if [ "$(cat "$state" 2>/dev/null)" = "$wanted" ] && java_works; then exit 0; fi

started=$SECONDS
export UV_LINK_MODE=${UV_LINK_MODE:-hardlink}
mkdir -p "$cache"
exec 8>"$cache/setup.lock"
flock -n 8 || { say "another set-up is running; waiting for it"; flock 8; }

# --- programs of the system ---
packages=()
java_works || packages+=(openjdk-17-jre-headless)
command -v g++ >/dev/null || packages+=(g++)
command -v make >/dev/null || packages+=(make)
command -v cmake >/dev/null || packages+=(cmake)
python3 -c 'import venv, ensurepip' 2>/dev/null || packages+=(python3 python3-venv)
if [ ${#packages[@]} -gt 0 ]; then
  install="apt-get update && apt-get install -y ${packages[*]}"
  command -v apt-get >/dev/null || stop "missing: ${packages[*]}. Install them with this system's package manager."
  if [ "$(id -u)" = 0 ]; then as_root=(); elif sudo -n true 2>/dev/null; then as_root=(sudo -n); else
    stop "missing: ${packages[*]}. Type: sudo sh -c '$install'"
  fi
  say "installing ${packages[*]}"
  log=$cache/apt.log
  "${as_root[@]}" sh -c "DEBIAN_FRONTEND=noninteractive; export DEBIAN_FRONTEND; $install" >"$log" 2>&1 ||
    { tail -n 20 "$log" >&2; stop "apt could not install them. Type: sudo sh -c '$install'"; }
fi

# --- uv, in an environment of its own ---
uv=$cache/uv/bin/uv
if ! { [ -x "$uv" ] && "$uv" --version | grep -qF "$(sed -n 's/^uv==\([^ ]*\).*/\1/p' "$here/uv.lock")"; }; then
  say "installing uv"
  rm -rf "$cache/uv"
  python3 -m venv "$cache/uv"
  "$cache/uv/bin/python" -m pip install --quiet --require-hashes -r "$here/uv.lock"
fi

# --- Horovod's wheel, then the environment ---
wheel=$("$here/build_horovod.sh" "$uv" "$cache" 8>&-)
# Killed while packages were copied, one may be there in part, and would count as installed.
installing=$venv/.installing
if [ -e "$installing" ]; then say "the last installation was broken off: starting .venv anew"; rm -rf "$venv"; fi
if [ ! -x "$venv/bin/python" ]; then
  say "making .venv with Python 3.11"
  "$uv" venv --quiet --python 3.11 --seed "$venv" 2>/dev/null || "$uv" venv --quiet --python 3.11 "$venv"
fi
rm -f "$state"
touch "$installing"
say "installing $(cat "${locks[@]}" | grep -o '^[a-z][^ ]*==[^ ]*' | sort -u | wc -l) packages from ${locks[*]#"$root/"}"
"$uv" pip sync --quiet --python "$venv/bin/python" --require-hashes "${locks[@]}"
"$uv" pip install --quiet --python "$venv/bin/python" --no-deps "$wheel"
rm -f "$installing"

# --- Delta's jars, beside Spark's own so that no session resolves anything ---
jars=$("$venv/bin/python" -c 'import pyspark; print(pyspark.__path__[0])')/jars
if ! (cd "$jars" && sha256sum --check --status "$here/jars.sha256" 2>/dev/null); then
  say "resolving Delta's jars"
  settings=${IVY_SETTINGS:-$HOME/.ivy2/ivysettings.xml}
  fetched=$(mktemp -d)
  java_program=${JAVA_HOME:+$JAVA_HOME/bin/}java
  "$java_program" -cp "$(ls "$jars"/ivy-*.jar)" org.apache.ivy.Main -warn $([ -f "$settings" ] && echo "-settings $settings") \
    -dependency io.delta delta-spark_2.13 4.0.1 -confs default -types jar \
    -retrieve "$fetched/[artifact]-[revision].[ext]" >"$cache/ivy.log" 2>&1 || { tail -n 20 "$cache/ivy.log" >&2; stop "Ivy could not resolve io.delta:delta-spark_2.13:4.0.1; see $cache/ivy.log"; }
  (cd "$fetched" && sha256sum --check --quiet "$here/jars.sha256") >&2 || stop "a jar is not the one deploy/jars.sha256 names"
  # A jar that Spark has too may be one file with uv's cache and with other checkouts: a new one takes its place.
  (cd "$fetched" && cut -c67- "$here/jars.sha256" | xargs -I{} cp --remove-destination {} "$jars/")
  rm -rf "$fetched"
fi

# spark-submit and spark-sql of this environment use its own Spark and Python, whether or not it is activated. No file goes
# into Spark's conf folder: with one there, Java would not use the archive of classes below.
rm -rf "$venv/bin/find-spark-home" "$jars/../conf"
printf '%s\n' '#!/usr/bin/env bash' '# Written by deploy/setup.sh: the Spark and the Python of this environment.' \
  "export SPARK_HOME=\"\${SPARK_HOME:-$(dirname "$jars")}\"" \
  "export PYSPARK_PYTHON=\"\${PYSPARK_PYTHON:-$venv/bin/python}\"" \
  "export PYSPARK_DRIVER_PYTHON=\"\${PYSPARK_DRIVER_PYTHON:-$venv/bin/python}\"" >"$venv/bin/find-spark-home"
chmod +x "$venv/bin/find-spark-home"

# --- the project itself, in place ---
printf '%s\n' "$root" >"$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/recsys.pth"
say "preparing quick starts: Python's compiled files, Java's archive of Spark's classes"
"$venv/bin/python" "$here/warm_up.py" >"$cache/warm_up.log" 2>&1 || say "going on without: starts will be slower; see $cache/warm_up.log"
if [ ${#locks[@]} -gt 1 ]; then touch "$has_text"; fi
echo "$wanted" >"$state"
say "ready after $((SECONDS - started)) s; 'make doctor' shows what is there"

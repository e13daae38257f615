#!/usr/bin/env bash
# Builds the Horovod wheel (PyTorch, Gloo, NCCL) from its source distribution and prints its path.
# Usage: build_horovod.sh UV CACHE_FOLDER. The wheel is kept under a key made of all that it was built from.
set -euo pipefail

uv=$1 cache=$2
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
key=$(cat "$here/build_horovod.sh" "$here/build.lock" <(uname -sm) | sha256sum | cut -c1-16)
wheels=$cache/wheels/$key
say() { printf '[setup] %s\n' "$*" >&2; }
finished_wheel() { find "$wheels" -maxdepth 1 -name 'horovod-*.whl' 2>/dev/null | head -n 1; }

if [ -n "$(finished_wheel)" ]; then finished_wheel; exit 0; fi
mkdir -p "$wheels"
exec 9>"$wheels/lock"
flock -n 9 || { say "another checkout is building Horovod; waiting for it"; flock 9; }
if [ -n "$(finished_wheel)" ]; then finished_wheel; exit 0; fi

build=$wheels/build
log=$wheels/build.log
say "building Horovod once for this machine (about 3 minutes on two cores; log: $log)"
rm -rf "$build/source" "$build/out"
mkdir -p "$build/source" "$build/out"
[ -x "$build/venv/bin/python" ] || "$uv" venv --quiet --python 3.11 "$build/venv"
"$uv" pip sync --quiet --python "$build/venv/bin/python" --require-hashes "$here/build.lock"
PATH=$build/venv/bin:$PATH

# The source distribution alone, checked against the hash that the lock names.
python -m pip download --quiet --no-deps --no-build-isolation --no-binary :all: --require-hashes \
  -r "$here/horovod.lock" -d "$build/source" >"$log" 2>&1 || { tail -n 30 "$log" >&2; exit 1; }
tar -xzf "$build/source"/horovod-*.tar.gz -C "$build/source" --strip-components=1

# torch needs C++17 since 2.1 and CUDA's headers need it since 13; Horovod's last release still asks for less.
sed -i 's/set(CMAKE_CXX_STANDARD 14)/set(CMAKE_CXX_STANDARD 17)/' \
  "$build/source/CMakeLists.txt" "$build/source/horovod/torch/CMakeLists.txt"
sed -i 's/CUDA_STANDARD 11/CUDA_STANDARD 17/' "$build/source/horovod/common/ops/cuda/CMakeLists.txt"

# The CUDA packages of the index come without the links that CMake looks for.
nvidia=$("$build/venv/bin/python" -c 'import nvidia; print(list(nvidia.__path__)[0])')
ln -sfn lib "$nvidia/cu13/lib64"
ln -sfn libcudart.so.13 "$nvidia/cu13/lib/libcudart.so"
ln -sfn libnccl.so.2 "$nvidia/nccl/lib/libnccl.so"

export HOROVOD_GPU_OPERATIONS=NCCL HOROVOD_WITH_GLOO=1 HOROVOD_WITHOUT_MPI=1 HOROVOD_WITH_PYTORCH=1
export HOROVOD_WITHOUT_TENSORFLOW=1 HOROVOD_WITHOUT_MXNET=1 HOROVOD_BUILD_CUDA_CC_LIST=80,90
export CUDA_HOME=$nvidia/cu13 CUDAToolkit_ROOT=$nvidia/cu13 HOROVOD_CUDA_HOME=$nvidia/cu13
export HOROVOD_NCCL_HOME=$nvidia/nccl CMAKE_POLICY_VERSION_MINIMUM=3.5
PATH=$nvidia/cu13/bin:$PATH
(cd "$build/source" && python -m pip wheel --no-deps --no-build-isolation --no-cache-dir -w "$build/out" .) >"$log" 2>&1 &
pid=$!
trap 'kill "$pid" 2>/dev/null; exit 130' INT TERM
started=$SECONDS
while kill -0 "$pid" 2>/dev/null; do
  sleep 5
  if [ $(((SECONDS - started) % 30)) -lt 5 ]; then say "building Horovod: $((SECONDS - started)) s"; fi
done
wait "$pid" || { tail -n 40 "$log" >&2; say "Horovod did not build; the whole log: $log"; exit 1; }
mv "$build"/out/horovod-*.whl "$wheels/"
rm -rf "$build"
finished_wheel

"""What people type who know pip, Python, modules or Spack a little, and the best answer for each.

The store is one that Spack 1.3 wrote, with 1,293 specs.
"""

from __future__ import annotations

import pytest

from spack_kernel.spack import NoMatch, Store
from spack_kernel.spack.errors import QuerySyntaxError
from tests.spack.trees import unpack

pytestmark = pytest.mark.unit

#: What is typed → the query that is suggested.
SLOPPY = {
    # pip
    "py-numpy==2.4.6": "py-numpy@2.4.6",
    "numpy==2.4.6": "py-numpy@2.4.6",
    "numpy===2.4.6": "py-numpy@2.4.6",
    "numpy == 2.4.6": "py-numpy@2.4.6",
    "numpy>=2": "py-numpy@2:",
    "numpy >= 2": "py-numpy@2:",
    "numpy>1.25": "py-numpy@1.25:",
    "numpy<2": "py-numpy@:1",
    "numpy<2.0": "py-numpy@:1",
    "numpy<=1.26": "py-numpy@:1.26",
    "numpy>=1.24,<2": "py-numpy@1.24:1",
    "numpy >= 1.24, < 2": "py-numpy@1.24:1",
    "numpy<2,>=1.24": "py-numpy@1.24:1",
    "numpy>=1.25.1,<1.26.4": "py-numpy@1.25.1:1.26.3",
    "numpy~=1.26.0": "py-numpy@1.26.0:1.26",
    "numpy~=2.4": "py-numpy@2.4:2",
    "numpy!=2.4.6": "py-numpy",
    "py-numpy=2.4.6": "py-numpy@2.4.6",
    "py-numpy>=2.4": "py-numpy@2.4:",
    "py-numpy~=2.4": "py-numpy@2.4:2",
    "numpy==2.4.*": "py-numpy@2.4",
    "requests[socks]": "py-requests",
    "pip install numpy": "py-numpy",
    "pip install numpy==2.4.6": "py-numpy@2.4.6",
    "pip install --user numpy": "py-numpy",
    "pip3 install scipy": "py-scipy",
    "conda install numpy": "py-numpy",
    "conda install numpy=2.4.6": "py-numpy@2.4.6",
    "mamba install scikit-learn": "py-scikit-learn",
    "uv add pandas": "py-pandas",
    "'numpy==2.4.6'": "py-numpy@2.4.6",
    "numpy;": "py-numpy",
    "numpy,": "py-numpy",
    # names of projects on PyPI
    "numpy": "py-numpy",
    "scipy": "py-scipy",
    "pandas": "py-pandas",
    "scikit-learn": "py-scikit-learn",
    "scikit_learn": "py-scikit-learn",
    "Pillow": "py-pillow",
    "pillow": "py-pillow",
    "PyYAML": "py-pyyaml",
    "pyyaml": "py-pyyaml",
    "python-dateutil": "py-python-dateutil",
    "beautifulsoup4": "py-beautifulsoup4",
    "Jinja2": "py-jinja2",
    "MarkupSafe": "py-markupsafe",
    "mpi4py": "py-mpi4py",
    "petsc4py": "py-petsc4py",
    "h5py": "py-h5py",
    "netCDF4": "py-netcdf4",
    "websocket-client": "py-websocket-client",
    "argon2_cffi": "py-argon2-cffi",
    "typing_extensions": "py-typing-extensions",
    "importlib_metadata": "py-importlib-metadata",
    "jupyter_client": "py-jupyter-client",
    # import names
    "PIL": "py-pillow",
    "PIL.Image": "py-pillow",
    "yaml": "py-pyyaml",
    "sklearn": "py-scikit-learn",
    "sklearn.svm": "py-scikit-learn",
    "bs4": "py-beautifulsoup4",
    "dateutil": "py-python-dateutil",
    "zmq": "py-pyzmq",
    "attr": "py-attrs",
    "websocket": "py-websocket-client",
    "pkg_resources": "py-setuptools",
    "mpl_toolkits": "py-matplotlib",
    "pylab": "py-matplotlib",
    "matplotlib.pyplot": "py-matplotlib",
    "numpy.linalg": "py-numpy",
    "scipy.sparse.linalg": "py-scipy",
    "libensemble.gen_funcs": "py-libensemble",
    "import numpy": "py-numpy",
    "import numpy as np": "py-numpy",
    "import matplotlib.pyplot as plt": "py-matplotlib",
    "from PIL import Image": "py-pillow",
    "from sklearn import svm": "py-scikit-learn",
    "from mpi4py import MPI": "py-mpi4py",
    "IPython": "py-ipython",
    # capitals, underscores, prefixes
    "PY-NUMPY": "py-numpy",
    "Py-NumPy": "py-numpy",
    "py_numpy": "py-numpy",
    "pynumpy": "py-numpy",
    "NumPy": "py-numpy",
    "SciPy": "py-scipy",
    "HDF5": "hdf5",
    "Python": "python",
    "PYTHON@3.11": "python@3.11",
    "OpenMPI": "openmpi",
    "py_numpy@2.4.6": "py-numpy@2.4.6",
    "PY-NUMPY@2.4": "py-numpy@2.4",
    "numpy@2.4.6": "py-numpy@2.4.6",
    "numpy@2.4.6 ^python@3.11": "py-numpy@2.4.6 ^python@3.11",
    "numpy^python@3.11": "py-numpy^python@3.11",
    "numpy %gcc": "py-numpy %gcc",
    # versions
    "py-numpy-2.4.6": "py-numpy@2.4.6",
    "py-numpy_2.4.6": "py-numpy@2.4.6",
    "py-numpy:2.4.6": "py-numpy@2.4.6",
    "py-numpy/2.4.6": "py-numpy@2.4.6",
    "py-numpy 2.4.6": "py-numpy@2.4.6",
    "numpy 2.4.6": "py-numpy@2.4.6",
    "py-numpy v2.4.6": "py-numpy@2.4.6",
    "py-numpy@v2.4.6": "py-numpy@2.4.6",
    "py-numpy@==2.4.6": "py-numpy@2.4.6",
    "py-numpy@>=2.4": "py-numpy@2.4:",
    "py-numpy@2.4.x": "py-numpy@2.4",
    "py-numpy@2.4.*": "py-numpy@2.4",
    "py-numpy@latest": "py-numpy@2.5.0",
    "numpy@latest": "py-numpy@2.5.0",
    "numpy:latest": "py-numpy@2.5.0",
    "py-numpy@2.4.6.": "py-numpy@2.4.6",
    "py-numpy @ 2.4.6 ^ Python @ 3.11": "py-numpy@2.4.6 ^ python@3.11",
    "python3": "python@3",
    "python3.11": "python@3.11",
    "python-3.11": "python@3.11",
    "python 3.11": "python@3.11",
    "python/3.11": "python@3.11",
    "Python 3.11": "python@3.11",
    "py-numpy ^python3.11": "py-numpy ^python@3.11",
    "py-numpy ^python/3.11": "py-numpy ^python@3.11",
    "py-numpy ^python==3.11": "py-numpy ^python@3.11",
    "py-numpy ^python>=3.11": "py-numpy ^python@3.11:",
    "py-numpy ^Python@3.11": "py-numpy ^python@3.11",
    "py-numpy ^python 3.11": "py-numpy ^python@3.11",
    "numpy ^python@3.11": "py-numpy ^python@3.11",
    "hdf5-1.14": "hdf5@1.14",
    # compilers
    "py-numpy %gcc-12": "py-numpy %gcc@12",
    "py-numpy %gcc12": "py-numpy %gcc@12",
    "py-numpy%gcc/12.2.0": "py-numpy%gcc@12.2.0",
    "py-numpy %GCC": "py-numpy %gcc",
    "py-numpy %gcc==12.2.0": "py-numpy %gcc@12.2.0",
    "hdf5/1.14.6-gcc-12.2.0": "hdf5@1.14.6 %gcc@12.2.0",
    # hashes and places
    "sywklxu": "py-numpy/sywklxu",
    "sywklxu6bpzzilzkolusds6gv7arfevq": "py-numpy/sywklxu",
    "SYWKLXU": "py-numpy/sywklxu",
    "SYWKLXU ": "py-numpy/sywklxu",
    "py-numpy sywklxu": "py-numpy/sywklxu",
    "py-numpy-sywklxu": "py-numpy/sywklxu",
    "py-numpy-2.4.6-sywklxu": "py-numpy/sywklxu",
    "py-numpy/2.4.6-sywklxu": "py-numpy/sywklxu",
    "py-numpy/2.4.6-gcc-12.2.0-sywklxu": "py-numpy/sywklxu",
    "spack-py-numpy-2.4.6-sywklxu": "py-numpy/sywklxu",
    "py-numpy@2.4.6-sywklxu": "py-numpy/sywklxu",
    "py-numpy-2.4.6-sywklxu6bpzzilzkolusds6gv7arfevq": "py-numpy/sywklxu",
    "/opt/sw/store-1.3/linux-x86_64/py-numpy-2.4.6-sywklxu6bpzzilzkolusds6gv7arfevq": (
        "py-numpy/sywklxu"
    ),
    "/opt/sw/store-1.3/linux-x86_64/py-numpy-2.4.6-sywklxu6bpzzilzkolusds6gv7arfevq/": (
        "py-numpy/sywklxu"
    ),
    "/opt/sw/store-1.3/linux-x86_64/py-numpy-2.4.6-sywklxu6bpzzilzkolusds6gv7arfevq/lib/python3.11"
    "/site-packages/numpy": "py-numpy/sywklxu",
    # commands of Spack and of modules
    "spack load py-numpy": "py-numpy",
    "spack load py-numpy@2.4.6": "py-numpy@2.4.6",
    "spack load -r py-numpy": "py-numpy",
    "spack load --first py-numpy": "py-numpy",
    "spack find -l py-numpy": "py-numpy",
    "spack install py-numpy": "py-numpy",
    "load py-numpy": "py-numpy",
    "module load py-numpy/2.4.6": "py-numpy@2.4.6",
    "module load python/3.11": "python@3.11",
    "ml hdf5": "hdf5",
    "spack-kernel show py-numpy": "py-numpy",
    # slips
    "py-nunpy": "py-numpy",
    "py-numpi": "py-numpy",
    "numyp": "py-numpy",
    "matplotlb": "py-matplotlib",
    "py-libensmble": "py-libensemble",
    "opnempi": "openmpi",
    "pyhton": "python",
    "pyhton@3.11": "python@3.11",
    "py-nunpy@2.4.6": "py-numpy@2.4.6",
    "py-numpy ^pyhton@3.11": "py-numpy ^python@3.11",
    # variants
    "hdf5 mpi=on": "hdf5 +mpi",
    "hdf5 mpi=yes": "hdf5 +mpi",
    "hdf5 mpi=off": "hdf5 ~mpi",
    "hdf5 mpi=0": "hdf5 ~mpi",
    "hdf5 +MPI": "hdf5 +mpi",
    "hdf5+Mpi": "hdf5+mpi",
    # versions that are not there
    # variants that are slips, and a dependency that is written as one
    "zlib+shard": "zlib+shared",
    "hdf5+cx": "hdf5+cxx",
    "py-numpy python=3.11": "py-numpy ^python@3.11",
    # nothing that is installed
    "torch": "",
    "tensorflow==2.15": "",
    "xyzzy": "",
    "/no/such/place": "",
    "zzzzzzz": "",
}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return Store.open(unpack("1.3", tmp_path_factory.mktemp("store")))


@pytest.mark.parametrize(
    ("typed", "hint"),
    [
        (
            "scikit-learn>=99",
            "Did you mean py-scikit-learn@99:? Nothing that is installed matches it, but "
            "py-scikit-learn is installed in version 1.9.0.",
        ),
        (
            "numpy==0.9",
            "Did you mean py-numpy@0.9? Nothing that is installed matches it, but py-numpy is "
            "installed in versions 2.5.0, 2.4.6, 1.26.4, 1.26.3, 1.25.1 and others.",
        ),
    ],
)
def test_a_version_that_is_not_installed_is_not_dropped(
    typed: str, hint: str, store: Store
) -> None:
    with pytest.raises((NoMatch, QuerySyntaxError)) as caught:
        store.get_each(typed)
    assert caught.value.hint == hint


def test_there_are_many() -> None:
    assert len(SLOPPY) >= 150


@pytest.mark.parametrize("typed", SLOPPY)
def test_a_sloppy_query_gets_the_query_that_was_meant(typed: str, store: Store) -> None:
    meant = SLOPPY[typed]
    with pytest.raises((NoMatch, QuerySyntaxError)) as caught:
        store.get_each(typed)
    hint = caught.value.hint
    assert hint.startswith("Did you mean ") is bool(meant), hint
    if meant:
        assert hint == f"Did you mean {meant}?"
        assert store.find(meant)
    else:
        assert "spack install" not in hint

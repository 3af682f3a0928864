"""Queries that a database alone cannot answer as Spack did, by name and with the reason.

``PROVIDERS`` is what the recipes of that time define for the packages in these stores; with it,
the answers match Spack's.
"""

from __future__ import annotations

#: The database does not record that the name is a virtual package, or what provides it.
UNRECORDED = "no record says what provides the virtual package"
#: Dependents record the provider of a virtual package, but never the provided version.
VERSIONS = "no record says which versions of the virtual package are provided"
#: A package that could provide a virtual package, but that no dependent uses as its provider.
UNUSED = "a provider that no dependent uses as such is not known to be one"

#: Spack up to 0.17 finds a record by its hash even if it is no longer installed.
UNINSTALLED = "the hash is that of a record that is not installed"
#: Behaviour of a single old Spack that no rule explains; see the comments.
ACCIDENT = "a quirk of that Spack"

MPI_AND_OTHERS = {
    "blas": ["openblas"],
    "fftw-api@2": ["fftw@2.1.5"],
    "fftw-api@3": ["fftw@3:"],
    "iconv": ["libiconv", "glibc"],
    "jpeg": ["libjpeg-turbo"],
    "lapack": ["openblas"],
    "libc": ["glibc"],
    "mpi@:3.0": ["openmpi@1.7.5:1.10.7"],
    "mpi@:3.1": ["openmpi@2:"],
    "mpi@:4.0": ["mpich@:4.3"],
    "mpi@:5.0": ["mpich@5:"],
    "pil": ["py-pillow"],
    "pkgconfig": ["pkgconf"],
    "szip": ["libaec"],
    "uuid": ["util-linux-uuid"],
}
ZLIB = {"zlib-api": ["zlib", "zlib-ng+compat"]}
COMPILERS = {
    "c": ["gcc languages=c", "llvm+clang"],
    "cxx": ["gcc languages=c++", "llvm+clang"],
    "fortran": ["gcc languages=fortran", "llvm+flang"],
}

#: By Spack version: the providers that its recipes define.
PROVIDERS = {
    "0.16": MPI_AND_OTHERS,
    "0.17": MPI_AND_OTHERS,
    "0.20": MPI_AND_OTHERS,
    "0.23": MPI_AND_OTHERS | ZLIB,
    "1.3": MPI_AND_OTHERS | ZLIB | COMPILERS,
}

#: By Spack version and reason: queries with different answers, even if providers are known.
DIFFERENT: dict[str, dict[str, list[str]]] = {
    "0.16": {
        UNINSTALLED: [
            "hdf5/schcdym",
            "hdf5@1.8.16/schcd",
            "py-six /xo26",
            "py-six/xo26",
            "py-six/xo26hcu",
            "py-six@1.15.0/xo26",
            "py-six@1.15.0/xo26h",
        ],
        # Both installed fftw specs provide fftw-api@3; this Spack finds only one of them.
        ACCIDENT: ["fftw-api@1:99"],
    },
    "0.17": {
        UNINSTALLED: [
            "hdf5 /brlv",
            "hdf5/brlv",
            "hdf5@1.10.7/brlv",
            "zlib/dqposnd",
            "zlib@1.2.3/dqposnd",
        ],
        # A dependency given by hash is not found if it depends on a provider of mpi.
        ACCIDENT: ["^/g7r3gk7"],
    },
}

#: By store and reason: queries that cannot be answered without the providers.
UNANSWERABLE: dict[str, dict[str, list[str]]] = {
    "0.16": {
        UNRECORDED: [
            "^blas",
            "^lapack",
            "^mpi",
            "^python ^mpi",
            "blas",
            "blas+shared",
            "blas@1:99",
            "blas@3:",
            "blas@:2",
            "hdf5 ^mpi@bogus",
            "iconv",
            "jpeg",
            "jpeg@1:99",
            "jpeg@2",
            "lapack+shared",
            "lapack@1:99",
            "lapack@3:",
            "mpi",
            "mpi@1:99",
            "mpi@3:",
            "pkgconfig",
            "pkgconfig@1:99",
            "pkgconfig@3:",
            "pkgconfig@:2",
            "uuid@1:99",
            "uuid@2",
            "uuid@3:",
        ],
    },
    "0.17": {
        UNRECORDED: [
            "^blas",
            "^lapack",
            "blas+shared",
            "blas@1:99",
            "blas@2",
            "blas@:2",
            "jpeg+shared",
            "jpeg@2",
            "jpeg@3:",
            "jpeg@:2",
            "lapack",
            "lapack@1:99",
            "lapack@2",
            "lapack@:2",
            "mpi+shared",
            "mpi@1:99",
            "mpi@2",
            "mpi@:2",
            "pkgconfig@3:",
            "py-h5py@3.4.0: ^pkgconfig",
            "py-netcdf4 ^uuid@1: ^ py-cftime",
            "uuid",
            "uuid+shared",
            "uuid@1:99",
            "uuid@3:",
            "uuid@:2",
        ],
    },
    "0.20": {
        UNRECORDED: [
            "% gcc@11.4,12.2 ^pkgconfig@2",
            "^blas",
            "^mpi",
            "^python ^mpi",
            "blas",
            "blas@1:99",
            "blas@2",
            "blas@3:",
            "blas@:2",
            "fftw-api",
            "fftw-api+shared",
            "fftw-api@1:99",
            "hdf5 ^mpi@bogus",
            "jpeg",
            "jpeg+shared",
            "jpeg@1:99",
            "jpeg@:2",
            "lapack+shared",
            "lapack@1:99",
            "lapack@2",
            "lapack@:2",
            "mpi@1:99",
            "mpi@:2",
            "pil",
            "pkgconfig",
            "pkgconfig+shared",
            "pkgconfig@1:99",
            "pkgconfig@2",
            "pkgconfig@:2",
            "py-jupyterlab ^pkgconfig@2",
            "py-pycparser build_system==python_pip ^pkgconfig@1:",
            "py-pyproject-hooks ^uuid@2",
            "uuid",
            "uuid@1:99",
            "uuid@2",
            "uuid@:2",
        ],
    },
    "0.23": {
        VERSIONS: [
            "%gcc@10:11.4 ^uuid@1:",
            "blas@1:99",
            "blas@2",
            "blas@3:",
            "blas@:2",
            "hdf5 ^mpi@bogus",
            "jpeg@1:99",
            "jpeg@:2",
            "lapack@3:",
            "mpi@1:99",
            "mpi@:2",
            "pkgconfig@1:99",
            "pkgconfig@3:",
            "uuid@2",
            "uuid@3:",
            "uuid@:2",
            "zlib-api@1:99",
            "zlib-api@2",
            "zlib-api@3:",
            "zlib-api@:2",
        ],
        UNRECORDED: [
            "fftw-api+shared",
            "fftw-api@3:",
        ],
        UNUSED: [
            "iconv",
            "zlib-api",
        ],
    },
    "0.23/chain": {
        VERSIONS: [
            "blas@:2",
            "hdf5 ^mpi@bogus",
            "mpi@:2",
            "pkgconfig@:2",
            "py-editables@0.5 ^libc@3:",
            "py-sitetool ^iconv@1: ^libxcrypt",
            "py-stack-data arch=linux-debian12-x86_64_v3 ^iconv@2",
            "zlib-api@:2",
        ],
        UNUSED: [
            "zlib-api",
        ],
    },
    "1.3": {
        VERSIONS: [
            "^cxx@2",
            "blas@1:99",
            "blas@3:",
            "blas@:2",
            "c@2",
            "fortran@1:99",
            "fortran@3:",
            "hdf5 ^mpi@bogus",
            "jpeg@1:99",
            "jpeg@2",
            "jpeg@3:",
            "jpeg@:2",
            "lapack@2",
            "lapack@:2",
            "mpi@3:",
            "pkgconfig@1:99",
            "pkgconfig@3:",
            "py-h5py ^uuid@:3 ^ py-pip",
            "py-ptyprocess ^zlib-api@2",
            "uuid@1:99",
            "uuid@3:",
            "zlib-api@1:99",
            "zlib-api@2",
            "zlib-api@3:",
            "zlib-api@:2",
        ],
        UNRECORDED: [
            "fftw-api",
            "fftw-api@1:99",
        ],
        UNUSED: [
            "zlib-api+shared",
        ],
    },
    "1.3/chain": {
        VERSIONS: [
            "blas@2",
            "blas@3:",
            "cxx@3:",
            "cxx@:2",
            "fortran@:2",
            "hdf5 ^mpi@bogus",
            "mpi@:2",
            "pkgconfig@1:99",
            "pkgconfig@3:",
            "py-nbclassic^py-nbconvert ^libc@1:",
            "py-pexpect ^uuid@:3",
            "zlib-api@:2",
        ],
        UNUSED: [
            "zlib-api+shared",
        ],
    },
}

"""Names and versions of all that is installed as emulators; they are stated nowhere else.

Debian's archive keeps one version of a package per suite, so packages are pinned by suite; what came is written down
beside each component. Python packages have the versions that are installed in the Python that runs this.
"""

from __future__ import annotations

from dataclasses import dataclass

ARCHIVE = "http://deb.debian.org/debian"
SECURITY = "http://deb.debian.org/debian-security"
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
SUITE = "bookworm"
BACKPORTS = "bookworm-backports"

# The emulators of user programs, in the order in which they are tried: the older one starts a program twice as fast,
# the newer one knows more processors (Cortex-A55, A710, Neoverse N2 and V1). Both are built without shared libraries,
# so one file per architecture is all that is needed.
QEMU_ARCHITECTURES = ("aarch64", "arm", "riscv64", "x86_64")


@dataclass(frozen=True, slots=True)
class QemuPackage:
    """A Debian package with emulators.

    Attributes:
        folder: Name of the folder for its programs, in the component's folder.
        package: Name of the package.
        suite: Suite that the package is taken from.
        suffix: Suffix of the programs' names, after `qemu-<architecture>`.
    """

    folder: str
    package: str
    suite: str
    suffix: str


QEMU_PACKAGES = (
    QemuPackage("7", "qemu-user-static", SUITE, "-static"),
    QemuPackage("10", "qemu-user", BACKPORTS, ""),
)

# The same emulator as a program with shared libraries: only that one can load a plugin, which counts instructions.
COUNTING_PACKAGE = "qemu-user"

# A whole Python for 64-bit ARM, and nothing that it does not need.
AARCH64_PYTHON = "3.11"
AARCH64_PACKAGES = (
    "python3.11-minimal",
    "libpython3.11-minimal",
    "libpython3.11-stdlib",
    "libbz2-1.0",
    "libc6",
    "libcrypt1",
    "libexpat1",
    "libffi8",
    "libgcc-s1",
    "liblzma5",
    "libssl3",
    "libstdc++6",
    "libuuid1",
    "zlib1g",
)
AARCH64_WHEELS = ("iree-base-runtime", "ml_dtypes", "msgspec", "numpy")
# The tags that pip is to accept: wheels for older systems run on newer ones, but pip takes each name literally.
AARCH64_PLATFORMS = (
    "manylinux_2_28_aarch64",
    "manylinux_2_27_aarch64",
    "manylinux_2_17_aarch64",
    "manylinux2014_aarch64",
)

LAVAPIPE_PACKAGES = ("mesa-vulkan-drivers", "libvulkan1")
SWIFTSHADER_PACKAGE = "chromium-common"
SWIFTSHADER_FILES = ("usr/lib/chromium/libvk_swiftshader.so", "usr/lib/chromium/vk_swiftshader_icd.json")

# C compilers for the processors that have no runtime, by the prefix of their programs. All of their parts are named,
# since a system may have some.
CROSS_COMPILERS = {
    "arm-linux-gnueabihf-": (
        "binutils-arm-linux-gnueabihf",
        "cpp-12-arm-linux-gnueabihf",
        "gcc-12-arm-linux-gnueabihf",
        "gcc-arm-linux-gnueabihf",
        "libc6-armhf-cross",
        "libc6-dev-armhf-cross",
        "libgcc-12-dev-armhf-cross",
        "linux-libc-dev-armhf-cross",
    ),
    "riscv64-linux-gnu-": (
        "binutils-riscv64-linux-gnu",
        "cpp-12-riscv64-linux-gnu",
        "gcc-12-riscv64-linux-gnu",
        "gcc-riscv64-linux-gnu",
        "libc6-dev-riscv64-cross",
        "libc6-riscv64-cross",
        "libgcc-12-dev-riscv64-cross",
        "linux-libc-dev-riscv64-cross",
    ),
}

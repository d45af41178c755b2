"""Makes `theirs/`: a model that OpenSSF's own library signed, to see that ours reads its signatures.

    pip install model-signing pyopenssl && python tests/unit/runtime_py/trust/make_theirs.py

Made once, with model-signing 1.1.1 and a key that was thrown away.
"""

import shutil
import sys
import tempfile
from pathlib import Path

from model_signing import hashing, signing

sys.path.insert(0, str(Path(__file__).parents[3]))
from makers.runtime_fakes import write_fake

from runtime_py.trust.keys import make_keys

FOLDER = Path(__file__).parent / "theirs"

if __name__ == "__main__":
    shutil.rmtree(FOLDER, ignore_errors=True)
    package = FOLDER / "package"
    write_fake(package)
    (package / "signatures").mkdir()
    with tempfile.TemporaryDirectory() as keys:
        make_keys(Path(keys) / "them", "ecdsa")
        shutil.copyfile(Path(keys) / "them.pub", FOLDER / "them.pub")
        config = signing.Config().use_elliptic_key_signer(private_key=Path(keys) / "them.key")
        config.set_hashing_config(hashing.Config().set_ignored_paths(paths=["signatures"], ignore_git_paths=True))
        config.sign(package, package / "signatures" / "theirs.sig")

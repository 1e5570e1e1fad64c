"""OpenSSF model signatures: an adapter directory is what the holder of a key signed, every file of it.

Uses the ``model-signing`` package (extra ``signing``) with elliptic-curve keys, which need no network.
"""

import importlib
from pathlib import Path
from types import ModuleType

from guard_server.errors import SignatureError
from guard_server.settings import AdapterPolicy
from p2p.manifest import MANIFEST_NAME, SIGNATURE_NAME


def require_signature(directory: Path, policy: AdapterPolicy) -> None:
    """Check a directory's signature where the policy wants one.

    Raises:
        SignatureError: There is none, it is by another key, a file was changed, or the package is not installed.
    """
    if policy.require_signature and policy.public_key:
        verify_signature(directory, policy.public_key)


def verify_signature(directory: Path, public_key: Path) -> None:
    """Check that the key's holder signed exactly these files.

    Args:
        directory: The adapter, with its ``model.sig``.
        public_key: A PEM file.

    Raises:
        SignatureError: It is not so.
    """
    verifying, hashing = _module("verifying"), _module("hashing")
    signature = directory / SIGNATURE_NAME
    if not signature.is_file():
        raise SignatureError(
            f"{directory.name} has no {SIGNATURE_NAME}, and its policy wants a signature: `p2p-guard sign` makes one"
        )
    from cryptography.exceptions import InvalidSignature

    # Named here and not taken over from the signature: all files count, those of git too.
    whole = hashing.Config().set_ignored_paths(paths=[SIGNATURE_NAME], ignore_git_paths=False)
    try:
        verifying.Config().use_elliptic_key_verifier(public_key=public_key).set_hashing_config(whole).verify(
            directory, signature
        )
    except (InvalidSignature, OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise SignatureError(
            f"the signature of {directory.name} does not hold for {public_key}: another key, or a changed file "
            f"({type(error).__name__}). Do not serve it before you know which."
        ) from error


def sign(directory: Path, private_key: Path) -> Path:
    """Sign an adapter directory and return the signature's path.

    Args:
        directory: A whole adapter.
        private_key: A PEM file with an elliptic-curve key: ``openssl ecparam -name prime256v1 -genkey -noout -out key.pem``.

    Raises:
        SignatureError: The key can't be used, or the package is not installed.
    """
    signing, hashing = _module("signing"), _module("hashing")
    signature = directory / SIGNATURE_NAME
    signature.unlink(missing_ok=True)
    whole = hashing.Config().set_ignored_paths(paths=[SIGNATURE_NAME], ignore_git_paths=False)
    if not (directory / MANIFEST_NAME).is_file():
        raise SignatureError(f"{directory} has no {MANIFEST_NAME}: not an adapter directory")
    try:
        signing.Config().use_elliptic_key_signer(private_key=private_key).set_hashing_config(whole).sign(
            directory, signature
        )
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise SignatureError(f"can't sign with {private_key}: {type(error).__name__}") from error
    return signature


def _module(name: str) -> ModuleType:
    try:
        return importlib.import_module(f"model_signing.{name}")
    except ImportError as error:
        raise SignatureError(
            "signatures need the extra `signing`: pip install 'p2p-guard[signing]'"
        ) from error

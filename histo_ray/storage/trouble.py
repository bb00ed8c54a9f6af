"""What an object store's refusal means, in one line. Pure: words in, words out.

pyarrow raises bare OSErrors; which they are is in their text only.
"""

import re
from typing import NamedTuple, TypeGuard


class Trouble(NamedTuple):
    """Why bytes cannot be had."""

    found: str
    remedy: str
    lasting: bool
    """Whether a retry would fail in the same way."""

    def __str__(self) -> str:
        """As part of a message, without what it is about."""
        return f"{self.found}; {self.remedy}"


_REMOTE = re.compile(r"AWS Error|google::cloud::Status")
_REGIONS = re.compile(r"configured region is '(\S+?)' while the bucket is located in '(\S+?)'")
_STATUS = re.compile(r"HTTP status (\d+)")
_CURL = re.compile(r"curlCode: \d+, ([^;]*)|CURL error (\[\d+\]=.*?) error_info")

_ELSEWHERE = re.compile(
    r"HTTP status 301|PermanentRedirect|AuthorizationHeaderMalformed|HTTP status 400\)"
)
_DENIED = re.compile(
    r"ACCESS_DENIED|AccessDenied|HTTP status 40[13]|INVALID_ACCESS_KEY|InvalidAccessKeyId|"
    r"SIGNATURE|SignatureDoesNotMatch|ExpiredToken|INVALID_CLIENT_TOKEN|UNRECOGNIZED_CLIENT|MISSING_AUTH|"
    r"PERMISSION_DENIED|UNAUTHENTICATED"
)
_NO_TOKEN = re.compile(r"Could not create a OAuth2 access token")
_NO_BUCKET = re.compile(r"NO_SUCH_BUCKET|NoSuchBucket|bucket does not exist", re.IGNORECASE)
_BUSY = re.compile(
    r"SLOW_DOWN|THROTTLING|INTERNAL_FAILURE|SERVICE_UNAVAILABLE|REQUEST_TIMEOUT|RESOURCE_EXHAUSTED|"
    r"HTTP status (?:429|5\d\d)"
)
_SILENT = re.compile(r"NETWORK_CONNECTION|curlCode|UNAVAILABLE|DEADLINE_EXCEEDED|Could not resolve")


def is_remote(error: BaseException) -> TypeGuard[OSError]:
    """Whether an error comes from an object store, by its text."""
    return isinstance(error, OSError) and bool(_REMOTE.search(str(error)))


def explain(error: OSError, *, anonymous: bool = False) -> Trouble:
    """Explain an error of pyarrow's file systems.

    Args:
        error: As raised.
        anonymous: Whether this machine has no credentials.
    """
    text = " ".join(str(error).split())
    if regions := _REGIONS.search(text):
        ours, theirs = regions.groups()
        return Trouble(
            f"the bucket is in region {theirs}, asked for in {ours}",
            f"set AWS_REGION={theirs}",
            lasting=True,
        )
    if _NO_BUCKET.search(text):
        return Trouble("no such bucket", "check the name, or create the bucket", lasting=True)
    if _NO_TOKEN.search(text):
        return Trouble(
            "no Google credentials found on this machine",
            "set GOOGLE_APPLICATION_CREDENTIALS, or log in with gcloud",
            lasting=True,
        )
    if _BUSY.search(text):
        status = _STATUS.search(text)
        what = f"HTTP status {status[1]}" if status else "errors of its own"
        return Trouble(
            f"the server answers every try with {what}", "try again later", lasting=False
        )
    if _DENIED.search(text):
        if anonymous:
            return Trouble(
                "access denied, no credentials found on this machine",
                "set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give the "
                "machine a role",
                lasting=True,
            )
        return Trouble(
            "access denied", "check the credentials and what they are allowed to do", lasting=True
        )
    if _ELSEWHERE.search(text):
        return Trouble(
            "asked for in another region than the bucket's", "set AWS_REGION", lasting=True
        )
    if _SILENT.search(text):
        detail = _CURL.search(text)
        why = (detail[1] or detail[2]) if detail else text
        return Trouble(
            f"the server cannot be reached ({why[:160]})",
            "check network and endpoint, or try again later",
            lasting=False,
        )
    missing = isinstance(error, FileNotFoundError)
    remedy = "check the path" if missing else "check the path and the access rights"
    return Trouble("not there" if missing else text or type(error).__name__, remedy, missing)

import pytest

from histo_ray.storage.trouble import explain, is_remote

HEAD = "When getting information for key 'a' in bucket 'b': AWS Error "


@pytest.mark.parametrize(
    ("words", "found", "remedy", "lasting"),
    [
        ("ACCESS_DENIED during HeadObject operation: No response body.", "access", "rights", True),
        (
            "UNKNOWN (HTTP status 403) during HeadObject operation: x",
            "access denied",
            "check",
            True,
        ),
        ("INVALID_ACCESS_KEY_ID during X: y", "access denied", "credentials", True),
        ("NO_SUCH_BUCKET during ListObjectsV2 operation: gone", "no such bucket", "create", True),
        (
            "UNKNOWN (HTTP status 301) during HeadObject operation: No response body. Looks like "
            "the configured region is 'us-east-1' while the bucket is located in 'eu-west-1'.",
            "the bucket is in region eu-west-1, asked for in us-east-1",
            "set AWS_REGION=eu-west-1",
            True,
        ),
        ("UNKNOWN (HTTP status 301) during GetObject operation: -", "another region", "AWS", True),
        ("UNKNOWN (HTTP status 503) during HeadObject operation: -", "HTTP status 503", "l", False),
        ("UNKNOWN (HTTP status 429) during HeadObject operation: -", "HTTP status 429", "l", False),
        ("SLOW_DOWN during ListObjectsV2 operation: made up", "errors of its own", "later", False),
        (
            "NETWORK_CONNECTION during HeadObject operation: curlCode: 28, Timeout was reached; "
            "Details: Operation too slow.",
            "cannot be reached (Timeout was reached)",
            "try again later",
            False,
        ),
    ],
)
def test_what_s3_refuses_is_told_in_one_line_with_a_remedy(
    words: str, found: str, remedy: str, lasting: bool
) -> None:
    error = OSError(HEAD + words)
    trouble = explain(error)
    assert found in trouble.found
    assert remedy.replace("rights", "allowed") in trouble.remedy
    assert trouble.lasting == lasting
    assert "\n" not in str(trouble)
    assert is_remote(error)


def test_missing_credentials_are_told_apart_from_wrong_ones() -> None:
    error = OSError(HEAD + "ACCESS_DENIED during HeadObject operation: No response body.")
    assert "no credentials found" in explain(error, anonymous=True).found
    assert "AWS_PROFILE" in explain(error, anonymous=True).remedy
    assert "no credentials" not in explain(error).found


def test_google_s_refusals_are_understood() -> None:
    status = "google::cloud::Status(UNAVAILABLE: Retry policy exhausted, with a last message of "
    token = OSError(status + "Could not create a OAuth2 access token to authenticate the request.")
    assert "no Google credentials" in explain(token).found
    refused = "PerformWork() - CURL error [7]=Could not connect to server error_info={reason=}"
    assert "cannot be reached ([7]=Could not" in explain(OSError(status + refused)).found
    denied = OSError("google::cloud::Status(PERMISSION_DENIED: x")
    assert explain(denied).found == "access denied"
    assert is_remote(denied)


def test_a_missing_file_is_final_and_a_full_disk_is_no_refusal() -> None:
    missing = FileNotFoundError(2, "Path does not exist 'b/a'")
    assert explain(missing).found == "not there"
    assert explain(missing).lasting
    full = OSError(28, "No space left on device")
    assert "No space left" in explain(full).found
    assert not is_remote(full)

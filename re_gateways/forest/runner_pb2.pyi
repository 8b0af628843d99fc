from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ReleaseMode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    RELEASE_MODE_UNSPECIFIED: _ClassVar[ReleaseMode]
    RELEASE_MODE_DEPLOY: _ClassVar[ReleaseMode]
    RELEASE_MODE_PLAN: _ClassVar[ReleaseMode]

class ReleaseOutcome(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    RELEASE_OUTCOME_UNSPECIFIED: _ClassVar[ReleaseOutcome]
    RELEASE_OUTCOME_SUCCESS: _ClassVar[ReleaseOutcome]
    RELEASE_OUTCOME_FAILURE: _ClassVar[ReleaseOutcome]
RELEASE_MODE_UNSPECIFIED: ReleaseMode
RELEASE_MODE_DEPLOY: ReleaseMode
RELEASE_MODE_PLAN: ReleaseMode
RELEASE_OUTCOME_UNSPECIFIED: ReleaseOutcome
RELEASE_OUTCOME_SUCCESS: ReleaseOutcome
RELEASE_OUTCOME_FAILURE: ReleaseOutcome

class RunnerMessage(_message.Message):
    __slots__ = ("register", "heartbeat", "work_ack")
    REGISTER_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_FIELD_NUMBER: _ClassVar[int]
    WORK_ACK_FIELD_NUMBER: _ClassVar[int]
    register: RunnerRegister
    heartbeat: RunnerHeartbeat
    work_ack: WorkAck
    def __init__(self, register: _Optional[_Union[RunnerRegister, _Mapping]] = ..., heartbeat: _Optional[_Union[RunnerHeartbeat, _Mapping]] = ..., work_ack: _Optional[_Union[WorkAck, _Mapping]] = ...) -> None: ...

class RunnerRegister(_message.Message):
    __slots__ = ("runner_id", "capabilities", "max_concurrent")
    RUNNER_ID_FIELD_NUMBER: _ClassVar[int]
    CAPABILITIES_FIELD_NUMBER: _ClassVar[int]
    MAX_CONCURRENT_FIELD_NUMBER: _ClassVar[int]
    runner_id: str
    capabilities: _containers.RepeatedCompositeFieldContainer[DestinationCapability]
    max_concurrent: int
    def __init__(self, runner_id: _Optional[str] = ..., capabilities: _Optional[_Iterable[_Union[DestinationCapability, _Mapping]]] = ..., max_concurrent: _Optional[int] = ...) -> None: ...

class DestinationCapability(_message.Message):
    __slots__ = ("organisation", "name", "version")
    ORGANISATION_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    organisation: str
    name: str
    version: int
    def __init__(self, organisation: _Optional[str] = ..., name: _Optional[str] = ..., version: _Optional[int] = ...) -> None: ...

class RunnerHeartbeat(_message.Message):
    __slots__ = ("active_releases",)
    ACTIVE_RELEASES_FIELD_NUMBER: _ClassVar[int]
    active_releases: int
    def __init__(self, active_releases: _Optional[int] = ...) -> None: ...

class WorkAck(_message.Message):
    __slots__ = ("release_token", "accepted")
    RELEASE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    release_token: str
    accepted: bool
    def __init__(self, release_token: _Optional[str] = ..., accepted: _Optional[bool] = ...) -> None: ...

class ServerMessage(_message.Message):
    __slots__ = ("register_ack", "work_assignment")
    REGISTER_ACK_FIELD_NUMBER: _ClassVar[int]
    WORK_ASSIGNMENT_FIELD_NUMBER: _ClassVar[int]
    register_ack: RegisterAck
    work_assignment: WorkAssignment
    def __init__(self, register_ack: _Optional[_Union[RegisterAck, _Mapping]] = ..., work_assignment: _Optional[_Union[WorkAssignment, _Mapping]] = ...) -> None: ...

class RegisterAck(_message.Message):
    __slots__ = ("runner_id", "accepted", "reason")
    RUNNER_ID_FIELD_NUMBER: _ClassVar[int]
    ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    runner_id: str
    accepted: bool
    reason: str
    def __init__(self, runner_id: _Optional[str] = ..., accepted: _Optional[bool] = ..., reason: _Optional[str] = ...) -> None: ...

class WorkAssignment(_message.Message):
    __slots__ = ("release_token", "release_id", "release_intent_id", "artifact_id", "destination_id", "destination", "mode")
    RELEASE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    RELEASE_ID_FIELD_NUMBER: _ClassVar[int]
    RELEASE_INTENT_ID_FIELD_NUMBER: _ClassVar[int]
    ARTIFACT_ID_FIELD_NUMBER: _ClassVar[int]
    DESTINATION_ID_FIELD_NUMBER: _ClassVar[int]
    DESTINATION_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    release_token: str
    release_id: str
    release_intent_id: str
    artifact_id: str
    destination_id: str
    destination: DestinationInfo
    mode: ReleaseMode
    def __init__(self, release_token: _Optional[str] = ..., release_id: _Optional[str] = ..., release_intent_id: _Optional[str] = ..., artifact_id: _Optional[str] = ..., destination_id: _Optional[str] = ..., destination: _Optional[_Union[DestinationInfo, _Mapping]] = ..., mode: _Optional[_Union[ReleaseMode, str]] = ...) -> None: ...

class DestinationInfo(_message.Message):
    __slots__ = ("name", "environment", "metadata", "type", "organisation")
    class MetadataEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    ENVIRONMENT_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    ORGANISATION_FIELD_NUMBER: _ClassVar[int]
    name: str
    environment: str
    metadata: _containers.ScalarMap[str, str]
    type: DestinationCapability
    organisation: str
    def __init__(self, name: _Optional[str] = ..., environment: _Optional[str] = ..., metadata: _Optional[_Mapping[str, str]] = ..., type: _Optional[_Union[DestinationCapability, _Mapping]] = ..., organisation: _Optional[str] = ...) -> None: ...

class GetReleaseFilesRequest(_message.Message):
    __slots__ = ("release_token",)
    RELEASE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    release_token: str
    def __init__(self, release_token: _Optional[str] = ...) -> None: ...

class ReleaseFile(_message.Message):
    __slots__ = ("file_name", "file_content")
    FILE_NAME_FIELD_NUMBER: _ClassVar[int]
    FILE_CONTENT_FIELD_NUMBER: _ClassVar[int]
    file_name: str
    file_content: str
    def __init__(self, file_name: _Optional[str] = ..., file_content: _Optional[str] = ...) -> None: ...

class GetSpecFilesRequest(_message.Message):
    __slots__ = ("release_token",)
    RELEASE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    release_token: str
    def __init__(self, release_token: _Optional[str] = ...) -> None: ...

class GetReleaseAnnotationRequest(_message.Message):
    __slots__ = ("release_token",)
    RELEASE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    release_token: str
    def __init__(self, release_token: _Optional[str] = ...) -> None: ...

class ReleaseAnnotationResponse(_message.Message):
    __slots__ = ("slug", "source_username", "source_email", "context_title", "context_description", "context_web", "reference_version", "reference_commit_sha", "reference_commit_branch", "reference_commit_message", "created_at")
    SLUG_FIELD_NUMBER: _ClassVar[int]
    SOURCE_USERNAME_FIELD_NUMBER: _ClassVar[int]
    SOURCE_EMAIL_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_TITLE_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_WEB_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_VERSION_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_COMMIT_SHA_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_COMMIT_BRANCH_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_COMMIT_MESSAGE_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    slug: str
    source_username: str
    source_email: str
    context_title: str
    context_description: str
    context_web: str
    reference_version: str
    reference_commit_sha: str
    reference_commit_branch: str
    reference_commit_message: str
    created_at: str
    def __init__(self, slug: _Optional[str] = ..., source_username: _Optional[str] = ..., source_email: _Optional[str] = ..., context_title: _Optional[str] = ..., context_description: _Optional[str] = ..., context_web: _Optional[str] = ..., reference_version: _Optional[str] = ..., reference_commit_sha: _Optional[str] = ..., reference_commit_branch: _Optional[str] = ..., reference_commit_message: _Optional[str] = ..., created_at: _Optional[str] = ...) -> None: ...

class GetProjectInfoRequest(_message.Message):
    __slots__ = ("release_token",)
    RELEASE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    release_token: str
    def __init__(self, release_token: _Optional[str] = ...) -> None: ...

class ProjectInfoResponse(_message.Message):
    __slots__ = ("organisation", "project")
    ORGANISATION_FIELD_NUMBER: _ClassVar[int]
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    organisation: str
    project: str
    def __init__(self, organisation: _Optional[str] = ..., project: _Optional[str] = ...) -> None: ...

class PushLogRequest(_message.Message):
    __slots__ = ("release_token", "channel", "line", "timestamp")
    RELEASE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    LINE_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
    release_token: str
    channel: str
    line: str
    timestamp: int
    def __init__(self, release_token: _Optional[str] = ..., channel: _Optional[str] = ..., line: _Optional[str] = ..., timestamp: _Optional[int] = ...) -> None: ...

class PushLogResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class CompleteReleaseRequest(_message.Message):
    __slots__ = ("release_token", "outcome", "error_message", "plan_output")
    RELEASE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    ERROR_MESSAGE_FIELD_NUMBER: _ClassVar[int]
    PLAN_OUTPUT_FIELD_NUMBER: _ClassVar[int]
    release_token: str
    outcome: ReleaseOutcome
    error_message: str
    plan_output: str
    def __init__(self, release_token: _Optional[str] = ..., outcome: _Optional[_Union[ReleaseOutcome, str]] = ..., error_message: _Optional[str] = ..., plan_output: _Optional[str] = ...) -> None: ...

class CompleteReleaseResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

"""The routes under /api/v1/models. The local socket serves them."""

from werkzeug.routing import Rule
from werkzeug.wrappers import Request, Response

from edge.plant import Models, RollbackRequest, ShadowRequest, SwitchRequest, read_request
from edge.web.api import body_of, guarded, parameters_of
from edge.web.serving import json_answer


def model_rules(models: Models) -> list[Rule]:
    """The routes."""

    def listing(request: Request) -> Response:
        parameters_of(request)
        return json_answer(models.listing().to_dict())

    def activate(request: Request) -> Response:
        parameters_of(request)
        wanted = read_request(SwitchRequest, body_of(request))
        return json_answer(models.activate(wanted).to_dict())

    def rollback(request: Request) -> Response:
        parameters_of(request)
        wanted = read_request(RollbackRequest, body_of(request))
        return json_answer(models.rollback(wanted).to_dict())

    def shadow(request: Request) -> Response:
        parameters_of(request)
        wanted = read_request(ShadowRequest, body_of(request))
        return json_answer(models.shadow(wanted).to_dict())

    return [
        Rule("/api/v1/models", methods=["GET"], endpoint=guarded(listing)),
        Rule("/api/v1/models/activate", methods=["POST"], endpoint=guarded(activate)),
        Rule("/api/v1/models/rollback", methods=["POST"], endpoint=guarded(rollback)),
        Rule("/api/v1/models/shadow", methods=["POST"], endpoint=guarded(shadow)),
    ]

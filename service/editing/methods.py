"""The editors by name. The locate-and-edit methods are told apart by what makes them differ."""

from service.editing import update_rules
from service.editing.entity.editor import Entity
from service.editing.grace import Grace
from service.editing.method import Method

METHODS = {
    method.name: method
    for method in (
        Method("coachhook", update_rules.memit, gated=True, accumulates=True),
        Method("memit", update_rules.memit),
        Method("emmet", update_rules.emmet),
        Method("rome", update_rules.rome, one_by_one=True, of_mlp=True),
        Method(
            "r-rome", update_rules.r_rome, one_by_one=True, of_mlp=True, averaged_throughout=True
        ),
    )
}
EDITORS = (Entity.name, Grace.name, *METHODS)

"""The locate-and-edit methods, each by what makes it differ."""

from service.editing import update_rules
from service.editing.locate import Method

METHODS = {
    method.name: method
    for method in (
        Method("memit", update_rules.memit),
        Method("emmet", update_rules.emmet),
        Method("rome", update_rules.rome, one_by_one=True, of_mlp=True),
        Method(
            "r-rome", update_rules.r_rome, one_by_one=True, of_mlp=True, averaged_throughout=True
        ),
        Method("coachhook", update_rules.coachhook, gated=True),
    )
}

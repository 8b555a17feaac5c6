from bench.analysis.compare_studies import Change as Change
from bench.analysis.comparison import Comparison as Comparison
from bench.answer import Result as Result
from bench.answer import compare as compare
from bench.api import Study as Study
from bench.api import compare_studies as compare_studies
from bench.api import plan as plan
from bench.api import run as run
from bench.datasets.log_options import Reading as Reading
from bench.errors import UserError as UserError
from bench.models import evaluate as evaluate
from bench.models import load_model as load_model
from bench.reports.names import names_of as names_of
from bench.reports.names import read_names as read_names
from bench.reports.presentation import Presentation as Presentation
from bench.studies.external import External as External
from bench.studies.listeners import Listener as Listener
from bench.studies.listing import listing as listing
from bench.studies.planning import Plan as Plan
from bench.studies.recommender import Recommender as Recommender
from bench.studies.records import Record as Record
from bench.studies.running import Failure as Failure
from bench.studies.study import Expected as Expected
from bench.studies.study import RunResult as RunResult
from bench.training.own_loop import Sampling as Sampling

__version__: str
